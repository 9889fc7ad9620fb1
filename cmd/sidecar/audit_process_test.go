package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"
)

// audited is a policy that denies everything at /private, and writes to file.
func audited(upstream, file string, queue int) string {
	return strings.Replace(minimal(upstream), "routes: [", `policies:
  authz: {nobody: {rules: []}}
  fault: {chaos: {abort: {status: 418}}}
telemetry: {audit: {file: "`+file+`", queue: `+fmt.Sprint(queue)+`}}
routes: [{name: private, match: {pathPrefix: /private}, upstream: app, use: {authz: nobody, fault: chaos}}, `, 1)
}

// audits returns the lines of an audit file that are about event, or all.
func audits(t *testing.T, file, event string) (all []map[string]any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		var l map[string]any
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if l["event"] == event {
			all = append(all, l)
		}
	}
	return all
}

func wantLine(t *testing.T, line, want map[string]any) {
	t.Helper()
	for key, value := range want {
		if !reflect.DeepEqual(line[key], value) {
			t.Errorf("%s is %v, want %v, in %v", key, line[key], value, line)
		}
	}
}

func TestAuditTellsWhoWasRefusedAndWhoChangedWhat(t *testing.T) {
	file := filepath.Join(t.TempDir(), "audit.jsonl")
	r := run(t, audited(well(t), file, 100))
	if status, _ := ask(t, "GET", r.data+"/open", ""); status != 200 {
		t.Fatalf("GET /open: %d, want 200", status)
	}
	resp, err := http.Get(r.data + "/private/x?secret=hunter2")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	for _, change := range []struct{ line, body string }{
		{"PUT /faults/chaos", `{"duration": "1s"}`},
		{"POST /breakers/default@app", `{"state": "open"}`},
		{"POST /breakers/default@app", `{"state": "open"}`}, // changes nothing
		{"POST /breakers/default@app", `{"state": "ajar"}`}, // is none
		{"POST /-/reload", ""},
	} {
		method, path, _ := strings.Cut(change.line, " ")
		ask(t, method, r.admin+path, change.body)
	}
	write(t, r.policy, "version: v9")
	r.signal(syscall.SIGHUP)
	eventually(t, "the end of the fault, and the bad reload", func() bool {
		return len(audits(t, file, "fault")) == 2 && len(audits(t, file, "reload")) >= 3
	})
	r.signal(syscall.SIGTERM)
	if code := r.exit(); code != 0 {
		t.Fatalf("exit code %d", code)
	}

	denied := audits(t, file, "authz")
	if len(denied) != 1 {
		t.Fatalf("%d lines on requests, want one", len(denied))
	}
	wantLine(t, denied[0], map[string]any{
		"result": "refused", "requestId": resp.Header.Get("X-Request-Id"), "method": "GET", "path": "/private/x",
		"route": "private", "status": 403.0, "policy": "nobody", "reason": "no_allow_rule", "client": "127.0.0.1",
	})
	if hash, _ := denied[0]["policyHash"].(string); len(hash) != 64 {
		t.Errorf("policyHash %q, want a SHA-256", hash)
	}
	forced := audits(t, file, "circuitBreaker")
	if len(forced) != 1 {
		t.Fatalf("%d breakers forced, want one: %v", len(forced), forced)
	}
	for _, change := range []struct { // in this order
		said  string
		asked map[string]any
	}{{"fault", audits(t, file, "fault")[0]}, {"circuit breaker", forced[0]}, {"policy reloaded", audits(t, file, "reload")[1]}} {
		asked := change.asked
		id, _ := asked["requestId"].(string)
		if peer, _ := asked["peer"].(string); len(id) != 36 || !strings.HasPrefix(peer, "127.0.0.1:") {
			t.Errorf("requestId %q of peer %q, want those of the request, in %v", id, peer, asked)
		}
		wantLine(t, r.line(change.said), map[string]any{"request_id": id})
	}
	wantLine(t, forced[0], map[string]any{"result": "made", "name": "default@app", "from": "closed", "to": "open", "client": "127.0.0.1"})
	switched := audits(t, file, "fault")
	wantLine(t, switched[0], map[string]any{"from": "off", "to": "on", "client": "127.0.0.1"})
	wantLine(t, switched[1], map[string]any{"from": "on", "to": "off", "who": nil, "detail": "its time is over"})
	reloads := audits(t, file, "reload")
	wantLine(t, reloads[0], map[string]any{"who": "start", "result": "made"})
	wantLine(t, reloads[1], map[string]any{"client": "127.0.0.1", "result": "made"})
	wantLine(t, reloads[2], map[string]any{"result": "failed"})
	text, _ := os.ReadFile(file)
	if strings.Contains(string(text), "hunter2") {
		t.Errorf("the file tells the query: %s", text)
	}

	// And then somebody tampers with it.
	if out, err := sidecarOutput(t, "audit", "verify", file); err != nil || !strings.Contains(out, "ok, ") {
		t.Errorf("verify: %v, %s, want ok", err, out)
	}
	write(t, file, strings.Replace(string(text), "/private/x", "/private/y", 1))
	seq := fmt.Sprint(denied[0]["seq"].(float64) + 1)
	if out, err := sidecarOutput(t, "audit", "verify", file); err == nil || !strings.Contains(out, file+":"+seq+": names ") {
		t.Errorf("verify of what was changed: %v, %s, want an error at line %s", err, out, seq)
	}
}

// On a full disk no change is made, traffic flows, and health says why.
func TestNoChangeIsMadeThatCannotBeAudited(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("there is no /dev/full here")
	}
	r := run(t, audited(well(t), "/dev/full", 5))
	for _, change := range []struct{ method, path, body string }{
		{"PUT", "/faults/chaos", ""},
		{"POST", "/breakers/default@app", `{"state": "open"}`},
		{"POST", "/-/reload", ""},
	} {
		status, text := ask(t, change.method, r.admin+change.path, change.body)
		if status != 503 || !strings.Contains(text, "no change is made that is not audited: ") || !strings.Contains(text, "no space left") {
			t.Errorf("%s %s: %d %s, want 503 and the reason", change.method, change.path, status, text)
		}
	}
	if _, text := ask(t, "GET", r.admin+"/faults/chaos", ""); !strings.Contains(text, `"active": false`) {
		t.Errorf("the fault: %s, want it off", text)
	}
	if _, text := ask(t, "GET", r.admin+"/breakers/default@app", ""); !strings.Contains(text, `"state": "closed"`) {
		t.Errorf("the breaker: %s, want it closed", text)
	}
	for range 20 {
		if status, _ := ask(t, "GET", r.data+"/private", ""); status != 403 {
			t.Errorf("GET /private: %d, want 403", status)
		}
	}
	if status, _ := ask(t, "GET", r.data+"/", ""); status != 200 {
		t.Errorf("GET /: %d, want 200", status)
	}
	if status, text := ask(t, "GET", r.telemetry+"/healthz", ""); status != 200 || !strings.Contains(text, "the audit file cannot be written: no space left on device") {
		t.Errorf("/healthz: %d %s, want it degraded", status, text)
	}
	eventually(t, "lines are counted as dropped", func() bool {
		_, text := ask(t, "GET", r.telemetry+"/metrics", "")
		return strings.Contains(text, "sidecar_audit_dropped_total 1") // 14 or 15
	})
	r.signal(syscall.SIGTERM)
	if code := r.exit(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// A pipe that nobody reads holds up nothing either.
func TestAPipeThatNobodyReads(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(file, 0o600); err != nil {
		t.Skip(err)
	}
	r := run(t, audited(well(t), file, 10))
	began := time.Now()
	for range 300 { // more than a pipe takes
		if status, _ := ask(t, "GET", r.data+"/private", ""); status != 403 {
			t.Fatalf("GET /private: %d, want 403", status)
		}
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("300 requests took %v", took)
	}
	_, text := ask(t, "GET", r.telemetry+"/metrics", "")
	if strings.Contains(text, "sidecar_audit_dropped_total 0\n") {
		t.Error("no line was dropped")
	}
}

// logrotate moves the file and sends SIGHUP.
func TestAuditFilesAreRotated(t *testing.T) {
	file := filepath.Join(t.TempDir(), "audit.jsonl")
	r := run(t, audited(well(t), file, 100))
	ask(t, "GET", r.data+"/private", "")
	eventually(t, "a line", func() bool { return len(audits(t, file, "authz")) == 1 })
	if err := os.Rename(file, file+".1"); err != nil {
		t.Fatal(err)
	}
	ask(t, "GET", r.data+"/private", "") // goes where the file is now
	r.signal(syscall.SIGHUP)
	r.line("policy reloaded")
	ask(t, "GET", r.data+"/private", "")
	eventually(t, "a line in the new file", func() bool { return len(audits(t, file, "authz")) == 1 })
	if n := len(audits(t, file+".1", "authz")); n != 2 {
		t.Errorf("%d lines on requests in the old file, want 2", n)
	}
	if out, err := sidecarOutput(t, "audit", "verify", file+".1", file); err != nil || !strings.Contains(out, "ok, 7 lines, 1 to 7") {
		t.Errorf("verify: %v, %s, want ok", err, out)
	}
	if out, err := sidecarOutput(t, "audit", "verify", file, file+".1"); err == nil {
		t.Errorf("verify in the wrong order: %s, want an error", out)
	}
	if out, err := sidecarOutput(t, "audit", "verify", file); err == nil || !strings.Contains(out, file+":1: has number ") {
		t.Errorf("verify of the new file alone: %v, %s, want an error at its first line", err, out)
	}
	if out, err := sidecarOutput(t, "audit", "verify", "--from-middle", file); err != nil || !strings.Contains(out, "nothing vouches for those before it\nok, ") {
		t.Errorf("verify from the middle: %v, %s, want ok", err, out)
	}
}

func TestAuditFileThatCannotBeOpened(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sidecar.yaml")
	write(t, file, audited("http://127.0.0.1:1", "/nowhere/audit.jsonl", 10))
	out, err := sidecarOutput(t, "run", "--policy", file)
	if err == nil || !strings.Contains(out, "telemetry.audit.file: open /nowhere/audit.jsonl: no such file or directory") {
		t.Errorf("%v, %s, want why", err, out)
	}
}

func TestAdminRoles(t *testing.T) {
	folder := t.TempDir()
	look, change, file := filepath.Join(folder, "look"), filepath.Join(folder, "change"), filepath.Join(folder, "audit.jsonl")
	const viewer, operator, rotated = "viewer-viewer-viewer", "operator-operator-op", "another-operator-tok"
	write(t, look, viewer+"\n")
	write(t, change, operator+"\n")
	r := run(t, strings.Replace(audited(well(t), file, 100), `admin: "127.0.0.1:0"`, `admin: "127.0.0.1:0", adminAuth: {tokens: [
    {name: dashboard, file: "`+look+`"}, {name: ci, file: "`+change+`", role: operator}]}`, 1))
	steps := []struct {
		line, token string
		status      int
		says        string
	}{
		{"GET /faults/chaos", "", 401, "server.adminAuth"},
		{"GET /faults/chaos", viewer, 200, `"chaos"`},
		{"PUT /faults/chaos", viewer, 403, "takes an operator's"},
		{"PUT /faults/chaos", operator, 200, `"setBy": "token ci from 127.0.0.1"`},
		{"GET /faults/chaos", operator, 200, `"active": true`},
		{"PUT /faults/chaos", rotated, 401, "not that of server.adminAuth"},
	}
	for _, s := range steps {
		method, path, _ := strings.Cut(s.line, " ")
		if status, text := call(t, method, r.admin+path, s.token); status != s.status || !strings.Contains(text, s.says) {
			t.Errorf("%s with %q: %d %s, want %d with %q", s.line, s.token, status, text, s.status, s.says)
		}
	}
	write(t, change, rotated+"\n")
	r.line("policy reloaded")
	if status, text := call(t, "DELETE", r.admin+"/faults/chaos", rotated); status != 200 {
		t.Errorf("the new token: %d %s, want 200", status, text)
	}
	if status, _ := call(t, "DELETE", r.admin+"/faults/chaos", operator); status != 401 {
		t.Errorf("the old token: %d, want 401", status)
	}
	wantLine(t, audits(t, file, "fault")[0], map[string]any{"who": "token ci", "client": "127.0.0.1"})
	eventually(t, "the refused credentials", func() bool { return len(audits(t, file, "admin")) >= 3 })
	wantLine(t, audits(t, file, "admin")[1], map[string]any{"result": "refused", "name": "PUT /faults/chaos", "who": "token dashboard", "client": "127.0.0.1"})
	if _, text := ask(t, "GET", r.telemetry+"/metrics", ""); strings.Contains(text, "sidecar_admin_auth_failures_total 0\n") {
		t.Error("no failure was counted")
	}
	text, _ := os.ReadFile(file)
	for _, secret := range []string{viewer, operator, rotated} {
		if strings.Contains(string(text)+r.out.String(), secret) {
			t.Errorf("a token is told: %s", text)
		}
	}
}
