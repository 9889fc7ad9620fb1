package main

import (
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// call sends a request to admin with token, unless that is empty.
func call(t *testing.T, method, url, token string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// startGuarded runs a sidecar whose admin listens at address and has a token.
func startGuarded(t *testing.T, address, token string) *running {
	t.Helper()
	file := filepath.Join(t.TempDir(), "sidecar.yaml")
	write(t, file, strings.NewReplacer(
		`admin: "127.0.0.1:0"`, `admin: "`+address+`", adminToken: "${ADMIN_TOKEN}"`,
		"routes: [{name: all, upstream: app}]", "policies: {fault: {chaos: {abort: {status: 418}}}}\nroutes: [{name: all, upstream: app, use: {fault: chaos}}]",
	).Replace(minimal(well(t))))
	r := start(t, []string{"ADMIN_TOKEN=" + token}, "run", "--policy", file)
	r.policy = file
	return r
}

func TestAdminDemandsItsTokenForChanges(t *testing.T) {
	const token = "correct-horse-battery-staple"
	r := startGuarded(t, "127.0.0.1:0", token)
	steps := []struct {
		method, path, token string
		status              int
		says                string
	}{
		{"GET", "/routes", "", 200, `"chaos"`},
		{"GET", "/policies", "", 200, `"default@app"`},
		{"GET", "/config", "", 200, `"adminToken": "${ADMIN_TOKEN}"`},
		{"PUT", "/faults/chaos", "", 401, "must carry Authorization"},
		{"PUT", "/faults/chaos", "wrong-horse-battery-staple", 401, "not that of server.adminToken"},
		{"GET", "/faults/chaos", "", 200, `"active": false`},
		{"PUT", "/faults/chaos", token, 200, `"setBy": "adminToken from 127.0.0.1"`},
		{"POST", "/-/reload", "", 401, ""},
		{"POST", "/-/reload", token, 200, `"reloaded": true`},
	}
	for _, s := range steps {
		status, text := call(t, s.method, r.admin+s.path, s.token)
		if status != s.status || !strings.Contains(text, s.says) {
			t.Errorf("%s %s: %d %s, want %d with %q", s.method, s.path, status, text, s.status, s.says)
		}
		if strings.Contains(text, token) {
			t.Errorf("%s %s tells the token: %s", s.method, s.path, text)
		}
	}
	if line := r.line("policy reloaded"); line["who"] != "adminToken from 127.0.0.1" {
		t.Errorf("the log says %v reloaded, want the credential's name", line["who"])
	}
}

func TestAdminOffLoopbackDemandsItsTokenForEverything(t *testing.T) {
	const token = "correct-horse-battery-staple"
	r := startGuarded(t, "0.0.0.0:0", token)
	_, port, _ := strings.Cut(strings.TrimPrefix(r.admin, "http://"), "]:")
	admin := "http://127.0.0.1:" + port
	for _, path := range []string{"/config", "/routes", "/decisions", "/breakers"} {
		if status, text := call(t, "GET", admin+path, ""); status != 401 || strings.Contains(text, "app") {
			t.Errorf("GET %s: %d %s, want 401 and nothing of the policy", path, status, text)
		}
		if status, _ := call(t, "GET", admin+path, token); status != 200 {
			t.Errorf("GET %s with the token: %d, want 200", path, status)
		}
	}
}

// Without a token such a listener never opens, and the reason names no value.
func TestAdminOffLoopbackNeedsAToken(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sidecar.yaml")
	tests := []struct{ admin, says string }{
		{`admin: ":0"`, `server.admin: must be a loopback address such as 127.0.0.1:9901, unless adminToken or adminAuth is set, got ":0"`},
		{`admin: ":0", adminToken: correct-horse-battery-staple`, "server.adminToken: a secret must not stand in the policy file; write ${ADMIN_TOKEN}"},
	}
	for _, tt := range tests {
		write(t, file, strings.Replace(minimal("http://127.0.0.1:1"), `admin: "127.0.0.1:0"`, tt.admin, 1))
		out, err := sidecarOutput(t, "run", "--policy", file)
		if err == nil || !strings.Contains(out, tt.says) || strings.Contains(out, "horse") {
			t.Errorf("%s: %v %s, want %q", tt.admin, err, out, tt.says)
		}
	}
}

func TestDecisionsAreFoundByTheIDOfTheAnswer(t *testing.T) {
	r := run(t, minimal(well(t))+"policies: {validation: {read: {methods: [GET]}}}\ndefaults: {use: {validation: read}}\n")
	resp, err := http.Post(r.data, "text/plain", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	id := resp.Header.Get("X-Request-Id")
	status, _ := ask(t, "GET", r.data, "")
	if resp.StatusCode != 405 || status != 200 {
		t.Fatalf("POST: %d, GET: %d, want 405 and 200", resp.StatusCode, status)
	}
	var text string
	eventually(t, "a decision", func() bool {
		_, text = ask(t, "GET", r.admin+"/decisions?request="+id, "")
		return strings.Contains(text, `"method_not_allowed"`)
	})
	if !strings.Contains(text, `"policy": "read"`) || strings.Count(text, `"requestId": "`+id+`"`) != 1 {
		t.Errorf("GET /decisions: %s, want the one refusal", text)
	}
	if _, all := ask(t, "GET", r.admin+"/decisions", ""); strings.Contains(all, `"pass"`) {
		t.Errorf("GET /decisions tells of a pass: %s", all)
	}
}
