package main

import (
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	trace "go.opentelemetry.io/proto/otlp/trace/v1"

	"sidecar/internal/authz"
	"sidecar/internal/tracing/otlptest"
)

// tracedTo is a policy whose every request fails once, by a fault, and is
// repeated.
func tracedTo(collector, upstream string) string {
	return "version: v1\n" + ports + "\nupstreams: {app: {endpoints: [{url: \"" + upstream + "\"}]}}\n" + `
policies:
  retry: {patient: {maxAttempts: 2, backoff: {base: 1ms, max: 1ms}}}
  fault: {chaos: {enabled: true, abort: {status: 503}, when: {headers: {X-Fail: "yes"}}}}
defaults: {use: {retry: patient, fault: chaos}}
routes: [{name: orders, upstream: app}]
telemetry: {tracing: {otlp: "` + collector + `"}}
`
}

func TestADrainDeliversEverySpan(t *testing.T) {
	sink := otlptest.Listen(t)
	upstream := well(t)
	r := run(t, tracedTo("http://"+sink.Address, upstream))
	const plain, failing = 40, 5 // fewer retries than the budget allows
	for range plain {
		if status, _ := ask(t, "GET", r.data+"/v1/orders?token=hunter2", ""); status != 200 {
			t.Fatalf("status %d, want 200", status)
		}
	}
	for range failing {
		req, _ := http.NewRequest("GET", r.data, nil)
		req.Header.Set("X-Fail", "yes")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.StatusCode != 503 {
			t.Fatalf("status %d, want the fault's 503", resp.StatusCode)
		}
	}
	line := r.line("request")
	r.signal(syscall.SIGTERM)
	if code := r.exit(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}

	servers := map[string]bool{}
	var attempts, resent, failed, named int
	for _, s := range sink.Spans() { // the process has ended: nothing comes any more
		if strings.Contains(s.String(), "hunter2") {
			t.Errorf("a span tells a secret: %v", s)
		}
		as := otlptest.Values(s.GetAttributes())
		if hex.EncodeToString(s.GetTraceId()) == line["trace_id"] {
			named++
		}
		switch {
		case s.GetKind() == trace.Span_SPAN_KIND_SERVER:
			servers[string(s.GetSpanId())] = true
			if s.GetStatus().GetCode() == trace.Status_STATUS_CODE_ERROR {
				failed++
			}
		case as["http.request.resend_count"] != nil:
			resent++
			fallthrough
		default:
			attempts++
		}
	}
	got := fmt.Sprint(len(servers), attempts, resent, failed)
	if want := fmt.Sprint(plain+failing, plain+2*failing, failing, failing); got != want {
		t.Errorf("requests, attempts, repeated ones, failures: %s, want %s", got, want)
	}
	for _, s := range sink.Spans() {
		if s.GetKind() == trace.Span_SPAN_KIND_CLIENT && !servers[string(s.GetParentSpanId())] {
			t.Errorf("an attempt is below no request: %v", s)
		}
	}
	if named != 2 {
		t.Errorf("%d spans are in the trace that the log names, %v, want 2", named, line["trace_id"])
	}
}

func TestACollectorThatIsAwayFailsNoRequest(t *testing.T) {
	r := run(t, tracedTo("http://127.0.0.1:1", well(t)))
	l := newLoad(r.data)
	eventually(t, "3000 requests", func() bool { return l.sent.Load() >= 3000 })
	l.end(t)
	start := time.Now()
	r.signal(syscall.SIGTERM)
	if code := r.exit(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	// drainDelay is 300ms; the last spans are given 3s.
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("the drain took %v, want it not to wait for the collector", took)
	}
	told := 0
	for len(r.lines) > 0 {
		if line := <-r.lines; line["msg"] == "spans not delivered" {
			told++
		}
	}
	if told < 1 || told > 3 {
		t.Errorf("the log tells %d times that spans are not delivered, want it once, and at the end", told)
	}
}

func TestTheEndTellsHowManySpansWereLostAndWhy(t *testing.T) {
	r := run(t, tracedTo("https://127.0.0.1:1", well(t)))
	ask(t, "GET", r.data, "")
	r.line("request")
	if _, text := ask(t, "GET", r.telemetry+"/metrics", ""); !strings.Contains(text, `sidecar_trace_spans_dropped_total{reason="export_failed"} 0`) {
		t.Error("/metrics does not count dropped spans")
	}
	r.signal(syscall.SIGTERM)
	if code := r.exit(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	lost := r.line("spans not delivered")
	if cause := fmt.Sprint(lost["error"]); lost["spans"] != 2.0 || !strings.Contains(cause, "connection refused") {
		t.Errorf("the last word on spans is %v, want that 2 were lost, and why", lost)
	}
}

// Whatever becomes of a request, no span holds what it proves itself with.
func TestNoSpanTellsACredential(t *testing.T) {
	sink := otlptest.Listen(t)
	folder := t.TempDir()
	signing, key := strings.Repeat("s", 32), authz.NewAPIKey()
	entry, err := authz.APIKeyEntry(key, "nightly", nil)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(folder, "hs256.secret"), signing)
	write(t, filepath.Join(folder, "keys.jsonl"), entry+"\n")
	token := func(args ...string) string {
		t.Helper()
		out, err := sidecarOutput(t, append([]string{"token", "--secret-file", filepath.Join(folder, "hs256.secret"), "--subject", "alice"}, args...)...)
		if err != nil {
			t.Fatal(out)
		}
		return strings.TrimSpace(out)
	}
	good, other := token(), token("--issuer", "stranger")
	r := run(t, strings.NewReplacer("policies:", fmt.Sprintf(`policies:
  authn: {users: {issuers: [{issuer: sidecar, secretFile: %q}], apiKeys: {file: %q}}}`,
		filepath.Join(folder, "hs256.secret"), filepath.Join(folder, "keys.jsonl")),
		"defaults: {use: {", "defaults: {use: {authn: users, ").Replace(tracedTo("http://"+sink.Address, well(t))))
	signature := func(jwt string) string { return jwt[strings.LastIndexByte(jwt, '.')+1:] }
	fields := []struct {
		name, value, secret string
		status              int
	}{
		{"Authorization", "Bearer " + good, signature(good), 200},
		{"Authorization", "Bearer " + other, signature(other), 401},
		{"Authorization", "Bearer " + good[:len(good)-9] + "AAAAAAAAA", "AAAAAAAAA", 401},
		{"Authorization", "Bearer opaque-hunter2-bearer", "hunter2", 401},
		{"Authorization", "Basic aHVudGVyMzpodW50ZXIz", "aHVudGVyMz", 401},
		{"Authorization", "hunter4-hunter4", "hunter4", 401},
		{"X-Api-Key", key, key, 200},
		{"X-Api-Key", "hunter5-hunter5-hunter5-hunter5-hunter5", "hunter5", 401},
		{"Cookie", "session=hunter6", "hunter6", 401},
		{"Proxy-Authorization", "Basic hunter7", "hunter7", 401},
		{"X-Amz-Security-Token", "hunter8", "hunter8", 401},
	}
	for _, f := range fields {
		for _, fail := range []string{"", "yes"} { // by a fault, so that there are two attempts
			req, _ := http.NewRequest("GET", r.data+"/v1/orders?access_token=hunter9&sig="+good, nil)
			req.Header.Set(f.name, f.value)
			req.Header.Set("X-Fail", fail)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if fail == "" && resp.StatusCode != f.status {
				t.Errorf("%d with %s: %.20s, want %d", resp.StatusCode, f.name, f.value, f.status)
			}
		}
	}
	r.signal(syscall.SIGTERM)
	if code := r.exit(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	if n := len(sink.Spans()); n < 2*len(fields) {
		t.Errorf("%d spans, want one for each of %d requests", n, 2*len(fields))
	}
	for _, s := range sink.Spans() {
		for _, f := range fields {
			for _, secret := range []string{f.secret, "hunter", "access_token", signature(good), good[:60]} {
				if strings.Contains(s.String(), secret) {
					t.Errorf("a span tells of %s: %v", f.name, s)
				}
			}
		}
	}
}

// The libraries of OpenTelemetry have a log of their own, from their first
// words on, and would not name the variable.
func TestAVariableOfTracingIsNamedInOurLog(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0") // so that it ends
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nofile")
	file := filepath.Join(t.TempDir(), "sidecar.yaml")
	write(t, file, strings.Replace(tracedTo("https://127.0.0.1:1", well(t)), `listen: "127.0.0.1:0"`, `listen: "`+taken.Addr().String()+`"`, 1))
	out, _ := sidecarOutput(t, "run", "--policy", file)
	if !strings.Contains(out, `"name":"OTEL_EXPORTER_OTLP_CERTIFICATE"`) {
		t.Errorf("it says\n%swant the variable that it ignores", out)
	}
	for line := range strings.Lines(out) {
		if !strings.HasPrefix(line, "{") && !strings.HasPrefix(line, "sidecar: server: data: ") {
			t.Errorf("a line is not of our log: %s", line)
		}
	}
}

func TestSamplePercentFollowsAReload(t *testing.T) {
	sink := otlptest.Listen(t)
	policy := tracedTo("http://"+sink.Address, well(t))
	r := run(t, policy)
	traced := func() bool {
		ask(t, "GET", r.data, "")
		return r.line("request")["trace_id"] != nil
	}
	if !traced() {
		t.Error("a request is not traced, want all to be")
	}
	write(t, r.policy, strings.Replace(policy, `"}}`+"\n", `", samplePercent: 0}}`+"\n", 1))
	status, text := ask(t, "POST", r.admin+"/-/reload", "")
	if status != 200 {
		t.Fatalf("reload: %d %s, want 200", status, text)
	}
	if traced() {
		t.Error("a request is traced, want none to be after the reload")
	}
}
