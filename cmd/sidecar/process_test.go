package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// running is a sidecar as a process of its own.
type running struct {
	t                      *testing.T
	cmd                    *exec.Cmd
	policy                 string // its file
	data, telemetry, admin string // URLs
	lines                  chan map[string]any
	exited                 chan struct{}
	out                    *syncBuffer
}

// syncBuffer is a buffer that may be written and read at once.
type syncBuffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// ports is the server section of a policy whose ports the system picks.
const ports = `server: {listen: "127.0.0.1:0", telemetry: "127.0.0.1:0", admin: "127.0.0.1:0", shutdown: {drainDelay: 300ms, timeout: 2s}}`

// slowly returns text with a drainDelay in which a load can be stopped.
func slowly(text string) string {
	return strings.Replace(text, "drainDelay: 300ms", "drainDelay: 2s", 1)
}

// run starts a sidecar under the policy in text, and waits until it serves.
func run(t *testing.T, text string) *running {
	t.Helper()
	file := filepath.Join(t.TempDir(), "sidecar.yaml")
	write(t, file, text)
	r := start(t, nil, "run", "--policy", file)
	r.policy = file
	return r
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// start runs the command line args, and waits until the sidecar serves.
func start(t *testing.T, env []string, args ...string) *running {
	t.Helper()
	r := &running{t: t, lines: make(chan map[string]any, 100_000), exited: make(chan struct{}), out: &syncBuffer{}}
	r.cmd = exec.Command(os.Args[0], args...)
	r.cmd.Env = append(append(os.Environ(), asSidecar+"=1"), env...)
	r.cmd.Stdout = r.out
	stderr, err := r.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go r.read(stderr)
	t.Cleanup(func() {
		_ = r.cmd.Process.Kill()
		r.exit()
	})
	for r.data == "" || r.telemetry == "" || r.admin == "" {
		line := r.line("listening")
		url := fmt.Sprint("http://", line["address"])
		if line["tls"] == true {
			url = fmt.Sprint("https://", line["address"])
		}
		switch line["listener"] {
		case "data":
			r.data = url
		case "telemetry":
			r.telemetry = url
		case "admin":
			r.admin = url
		}
	}
	return r
}

func (r *running) read(stderr io.Reader) {
	defer close(r.exited)
	lines := bufio.NewScanner(stderr)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var line map[string]any
		if json.Unmarshal(lines.Bytes(), &line) != nil {
			line = map[string]any{"msg": "plain", "text": lines.Text()}
		}
		r.keep(line)
	}
	_ = r.cmd.Wait()
}

// keep keeps line for whoever looks for it, in place of the oldest if there are
// too many. To wait here would hold up the sidecar, and the end of the test.
func (r *running) keep(line map[string]any) {
	for {
		select {
		case r.lines <- line:
			return
		default:
		}
		select {
		case <-r.lines:
		default:
		}
	}
}

// line returns the next line of the log that says msg.
func (r *running) line(msg string) map[string]any {
	r.t.Helper()
	timeout := time.After(20 * time.Second)
	for {
		select {
		case line := <-r.lines:
			if line["msg"] == msg {
				return line
			}
		case <-timeout:
			r.t.Fatalf("the log does not say %q", msg)
		}
	}
}

func (r *running) signal(s os.Signal) {
	r.t.Helper()
	if err := r.cmd.Process.Signal(s); err != nil {
		r.t.Fatal(err)
	}
}

// exit waits for the end of the process, and returns its exit code.
func (r *running) exit() int {
	r.t.Helper()
	select {
	case <-r.exited:
		return r.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		r.t.Fatal("the process does not end")
		return -1
	}
}

// ask sends a request and returns the answer's status and body.
func ask(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// well returns the URL of an upstream that is well.
func well(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "well") }))
	t.Cleanup(s.Close)
	return s.URL
}

func minimal(upstream string) string {
	return "version: v1\n" + ports + "\nupstreams: {app: {endpoints: [{url: \"" + upstream + "\"}]}}\n" +
		"routes: [{name: all, upstream: app}]\n"
}

// load sends requests from several clients until stop, and counts those that
// fail.
type load struct {
	sent, failed atomic.Int64
	first        atomic.Pointer[error]
	stop         chan struct{}
	done         sync.WaitGroup
}

func newLoad(url string) *load {
	return newLoadBy(url, "well", func() *http.Transport { return &http.Transport{} })
}

// newLoadBy is newLoad by transports of these, to whom want is answered, or
// what begins so.
func newLoadBy(url, want string, transports func() *http.Transport) *load {
	l := &load{stop: make(chan struct{})}
	for range 8 {
		l.done.Go(func() {
			transport := transports()
			defer transport.CloseIdleConnections()
			c := &http.Client{Transport: transport, Timeout: patience}
			for {
				select {
				case <-l.stop:
					return
				default:
				}
				l.sent.Add(1)
				if err := one(c, url, want); err != nil {
					l.failed.Add(1)
					l.first.CompareAndSwap(nil, &err)
				}
			}
		})
	}
	return l
}

func one(c *http.Client, url, want string) error {
	resp, err := c.Post(url, "text/plain", strings.NewReader("body")) // a POST is not repeated by the client
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && (resp.StatusCode != 200 || !strings.HasPrefix(string(b), want)) {
		err = fmt.Errorf("%d %q", resp.StatusCode, b)
	}
	return err
}

// end stops the load, and says what failed.
func (l *load) end(t *testing.T) {
	t.Helper()
	close(l.stop)
	l.done.Wait()
	if n := l.failed.Load(); n > 0 {
		t.Errorf("%d of %d requests failed, the first with: %v", n, l.sent.Load(), *l.first.Load())
	}
	if l.sent.Load() < 100 {
		t.Errorf("only %d requests were sent", l.sent.Load())
	}
}

func TestReloadsUnderLoadFailNoRequest(t *testing.T) {
	upstream := well(t)
	r := run(t, minimal(upstream))
	l := newLoad(r.data)
	for i := range 20 {
		// A pool that changes each time: the old one is retired under load.
		write(t, r.policy, strings.Replace(minimal(upstream), "endpoints:", fmt.Sprintf("pool: {maxIdle: %d}, endpoints:", 10+i), 1))
		r.signal(syscall.SIGHUP)
		line := r.line("policy reloaded")
		for fmt.Sprint(line["reset"]) == "[]" { // the watch came first, and left nothing to SIGHUP
			line = r.line("policy reloaded")
		}
		if got := fmt.Sprint(line["reset"]); got != "[pool/app]" {
			t.Errorf("reload %d: reset %s, want [pool/app]", i, got)
		}
	}
	l.end(t)
	if status, text := ask(t, "GET", r.telemetry+"/metrics", ""); status != 200 || !strings.Contains(text, "sidecar_config_last_reload_successful 1") {
		t.Errorf("metrics: %d, want a successful reload in them", status)
	}
}

func TestABadFileChangesNothingAndIsReported(t *testing.T) {
	r := run(t, minimal(well(t)))
	write(t, r.policy, minimal(well(t))+"routs: []\n")
	want := r.policy + ":5:1: routs: unknown key; did you mean routes?"

	r.signal(syscall.SIGHUP)
	if line := r.line("policy not reloaded: the one before holds"); fmt.Sprint(line["problems"]) != "["+want+"]" {
		t.Errorf("the log says %v, want %s", line["problems"], want)
	}
	status, text := ask(t, "POST", r.admin+"/-/reload", "")
	var answer struct {
		Reloaded bool
		Problems []string
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil || status != 422 || len(answer.Problems) != 1 || answer.Problems[0] != want {
		t.Errorf("POST /-/reload: %d %s, want 422 with %s", status, text, want)
	}
	if status, text := ask(t, "GET", r.data, ""); status != 200 || text != "well" {
		t.Errorf("traffic: %d %q, want it untouched", status, text)
	}
	if status, text := ask(t, "GET", r.telemetry+"/healthz", ""); status != 200 || !strings.Contains(text, `"degraded"`) {
		t.Errorf("health: %d %s, want degraded", status, text)
	}
	if _, text := ask(t, "GET", r.telemetry+"/metrics", ""); !strings.Contains(text, "sidecar_config_last_reload_successful 0") {
		t.Error("metrics do not tell of the failed reload")
	}

	write(t, r.policy, minimal(well(t)))
	if status, text := ask(t, "POST", r.admin+"/-/reload", ""); status != 200 || !strings.Contains(text, `"reloaded": true`) {
		t.Errorf("POST /-/reload: %d %s, want 200 and reloaded", status, text)
	}
	if _, text := ask(t, "GET", r.telemetry+"/healthz", ""); !strings.Contains(text, `"healthy"`) {
		t.Errorf("health: %s, want healthy", text)
	}
}

func TestADrainUnderLoadFailsNoRequest(t *testing.T) {
	for range 3 {
		drainUnderLoad(t, well(t))
	}
}

// drainUnderLoad drains a sidecar in front of upstream while requests come, and
// returns how many there were.
func drainUnderLoad(t *testing.T, upstream string) (sent int64) {
	t.Helper()
	r := run(t, slowly(minimal(upstream)))
	l := newLoad(r.data)
	eventually(t, "200 requests", func() bool { return l.sent.Load() >= 200 })
	r.signal(syscall.SIGTERM)
	// Who balances the load stops sending a while after it is not ready.
	eventually(t, "not ready", func() bool {
		status, _ := ask(t, "GET", r.telemetry+"/readyz", "")
		return status == http.StatusServiceUnavailable
	})
	before := l.sent.Load()
	eventually(t, "200 requests more", func() bool { return l.sent.Load() >= before+200 })
	l.end(t)
	if code := r.exit(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	return l.sent.Load()
}

func TestADrainLetsWhatIsInFlightEndAndCutsWhatDoesNot(t *testing.T) {
	held := make(chan struct{})
	release := sync.OnceFunc(func() { close(held) })
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			<-held
			fmt.Fprint(w, "late")
			return
		}
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "websocket")
		w.WriteHeader(http.StatusSwitchingProtocols)
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		_, _ = io.Copy(c, c)
		c.Close()
	}))
	defer upstream.Close()
	defer release() // or Close waits for ever
	r := run(t, minimal(upstream.URL))

	answered := make(chan string, 1)
	go func() {
		resp, err := http.Get(r.data)
		if err != nil {
			answered <- err.Error()
			return
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		answered <- string(b)
	}()
	socket := dialRaw(t, r.data)
	fmt.Fprint(socket, "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	tunnel := bufio.NewReader(socket)
	if _, err := http.ReadResponse(tunnel, nil); err != nil {
		t.Fatal(err)
	}
	inFlight(t, r, 2)
	r.signal(syscall.SIGTERM)
	r.line("draining")
	release()
	if got := <-answered; got != "late" {
		t.Errorf("the request in flight gets %q, want its answer", got)
	}
	fmt.Fprint(socket, "still here\n")
	if line, err := tunnel.ReadString('\n'); line != "still here\n" {
		t.Errorf("the tunnel says %q, %v, want it alive while others drain", line, err)
	}
	if _, err := tunnel.ReadByte(); !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the tunnel ends with %v, want its end", err)
	}
	if code := r.exit(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// inFlight waits until the sidecar tells of n exchanges in flight.
func inFlight(t *testing.T, r *running, n int) {
	t.Helper()
	want := fmt.Sprintf("sidecar_http_requests_in_flight{route=\"all\"} %d", n)
	eventually(t, want, func() bool {
		_, text := ask(t, "GET", r.telemetry+"/metrics", "")
		return strings.Contains(text, want)
	})
}

func TestFaultsAndBreakersAreChangedByAdmin(t *testing.T) {
	r := run(t, "version: v1\n"+ports+"\nupstreams: {app: {endpoints: [{url: \""+well(t)+"\"}]}}\n"+`
policies:
  retry: {once: {maxAttempts: 1}}
  fault: {chaos: {abort: {status: 503}, maxDuration: 5m}}
routes: [{name: all, upstream: app, use: {retry: once, fault: chaos}}]
`)
	steps := []struct {
		method, path, body string
		status             int
		says               string
	}{
		{"GET", "/faults", "", 200, `"chaos"`},
		{"PUT", "/faults/chaos", `{"percent": 100, "abort": {"status": 418}, "duration": "1m"}`, 200, `"setBy": "127.0.0.1"`},
		{"PUT", "/faults/chaos", `{"percent": 101}`, 400, "percent: must be 0 to 100, got 101"},
		{"PUT", "/faults/chaos", `{"percnt": 1}`, 400, "percnt"},
		{"PUT", "/faults/chaos", `{"duration": "1h"}`, 400, "duration"},
		{"PUT", "/faults/chaos", `{`, 400, "JSON"},
		{"PUT", "/faults/nobody", `{}`, 404, "nobody"},
		{"GET", "DATA", "", 418, "fault_injected"},
		{"DELETE", "/faults/chaos", "", 200, `"active": false`},
		{"GET", "DATA", "", 200, "well"},
		{"GET", "/breakers", "", 200, `"default@app"`},
		{"POST", "/breakers/default@app", `{"state": "open"}`, 200, `"forced": true`},
		{"GET", "DATA", "", 503, "breaker_open"},
		{"GET", "HEALTH", "", 200, "circuit breaker default@app is open"},
		{"POST", "/breakers/default@app", `{"state": "ajar"}`, 400, "ajar"},
		{"POST", "/breakers/default@app", `{"state": "auto"}`, 200, `"closed"`},
		{"GET", "DATA", "", 200, "well"},
		{"POST", "/breakers/nobody", `{"state": "open"}`, 404, "nobody"},
		{"POST", "/faults/chaos", `{}`, 405, ""},
	}
	for _, s := range steps {
		url := r.admin + s.path
		switch s.path {
		case "DATA":
			url = r.data
		case "HEALTH":
			url = r.telemetry + "/healthz"
		}
		if status, text := ask(t, s.method, url, s.body); status != s.status || !strings.Contains(text, s.says) {
			t.Errorf("%s %s %s: %d %s, want %d with %q", s.method, s.path, s.body, status, text, s.status, s.says)
		}
	}
	for _, field := range []string{"Host", "Origin"} {
		req, _ := http.NewRequest("POST", r.admin+"/-/reload", nil)
		if field == "Host" {
			req.Host = "evil.example"
		} else {
			req.Header.Set("Origin", "http://evil.example")
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 403 {
			t.Errorf("a foreign %s: %d, want 403", field, resp.StatusCode)
		}
	}
}

// An alert on an open breaker or on a fault that is on need not know that some
// refuse and break nothing.
func TestWhatIsInShadowRaisesNoAlert(t *testing.T) {
	for mode, want := range map[string]int{"enforce": 1, "shadow": 0} {
		r := run(t, strings.Replace(minimal(well(t)), "routes: [{name: all, upstream: app}]", `
policies:
  circuitBreaker: {tried: {mode: `+mode+`}}
  fault: {chaos: {mode: `+mode+`, abort: {status: 418}}}
routes: [{name: all, upstream: app, use: {circuitBreaker: tried, fault: chaos}}]`, 1))
		ask(t, "POST", r.admin+"/breakers/tried@app", `{"state": "open"}`)
		ask(t, "PUT", r.admin+"/faults/chaos", "")
		_, text := ask(t, "GET", r.telemetry+"/metrics", "")
		for _, series := range []string{
			`sidecar_circuit_breaker_state{name="tried@app",state="open"} 1`,
			`sidecar_circuit_breaker_transitions_total{from="closed",name="tried@app",to="open"} 1`,
			`sidecar_fault_active{name="chaos"} 1`,
		} {
			if got := strings.Count(text, series); got != want {
				t.Errorf("mode %s: %s is there %d times, want %d", mode, series, got, want)
			}
		}
		line := r.line("circuit breaker")
		if (line["level"] == "WARN") != (mode == "enforce") {
			t.Errorf("mode %s: the log says %v, want a warning where something is refused", mode, line)
		}
	}
}

func TestTheAccessLogTellsOneLineARequest(t *testing.T) {
	r := run(t, minimal(well(t)))
	req, _ := http.NewRequest("GET", r.data+"/a%20path?token=hunter2", nil)
	req.Header.Set("Authorization", "Bearer hunter2")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	line := r.line("request")
	text, _ := json.Marshal(line)
	if strings.Contains(string(text), "hunter2") {
		t.Errorf("the log tells a secret: %s", text)
	}
	for key, want := range map[string]any{
		"route": "all", "upstream": "app", "path": "/a path", "status": 200.0, "attempts": 1.0,
		"bytes_out": 4.0, "request_id": resp.Header.Get("X-Request-Id"),
	} {
		if line[key] != want {
			t.Errorf("%s = %v, want %v", key, line[key], want)
		}
	}
}

func TestRunWithoutAFile(t *testing.T) {
	// The ports are the default ones, which others may hold, and let go of: only
	// what is said of them can be tested.
	for _, address := range []string{":8080", ":9090", "127.0.0.1:9901"} {
		if busy, err := net.Listen("tcp", address); err == nil {
			defer busy.Close()
		}
	}
	out, _ := sidecarOutput(t, "run", "--upstream", well(t))
	// Whichever of the ports is tried first among those that are taken.
	if !regexp.MustCompile(`(?m)^sidecar: server: \w+: listen tcp \S+: bind: address already in use$`).MatchString(out) {
		t.Errorf("output %s, want the port that is taken", out)
	}
	out, _ = sidecarOutput(t, "run", "--upstream", "ftp://x")
	if !strings.Contains(out, `must be http://HOST:PORT or https://HOST:PORT, got "ftp://x"`) {
		t.Errorf("output %s, want what is wrong with the URL", out)
	}
}

func sidecarOutput(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := bounded(t, os.Args[0], args...)
	cmd.Env = append(os.Environ(), asSidecar+"=1")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// bounded returns a command that a test waits for. One that does not end is
// killed, and fails the test.
func bounded(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.WaitDelay = time.Second // its own children may hold its output
	cmd.Cancel = func() error {
		if ctx.Err() == context.DeadlineExceeded {
			t.Errorf("%s %q does not end", name, args)
		}
		return cmd.Process.Kill()
	}
	return cmd
}

// numbered has the curl of a shell number its requests. By their ids it is drawn
// which of them a fault strikes: always the same.
const numbered = `n=0; curl() { n=$((n+1)); command curl -H "X-Request-Id: demo-$n" "$@"; }; `

// The five lines that the demo prints work when pasted.
func TestTheDemosLinesWorkWhenPasted(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not installed")
	}
	r := start(t, []string{"DEMO_LISTEN=127.0.0.1:0", "DEMO_TELEMETRY=127.0.0.1:0", "DEMO_ADMIN=127.0.0.1:0"}, "demo")
	var lines []string
	eventually(t, "five lines to paste", func() bool {
		lines = regexp.MustCompile(`(?m)^(curl|for) .*$`).FindAllString(r.out.String(), -1)
		return len(lines) == 5
	})
	var outs []string
	var took []time.Duration
	for _, line := range lines {
		begun := time.Now()
		out, err := bounded(t, "sh", "-c", numbered+line).Output()
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		outs, took = append(outs, string(out)), append(took, time.Since(begun))
	}
	for i, want := range []string{"HTTP/1.1 200 OK", "HTTP/1.1 401 Unauthorized", "HTTP/1.1 403 Forbidden"} {
		if !strings.HasPrefix(outs[i], want) {
			t.Errorf("line %d: %s, want %s", i+1, outs[i], want)
		}
	}
	// Each second that it takes earns one more.
	passed, refused, most := strings.Count(outs[3], "200\n"), strings.Count(outs[3], "429\n"), 5+int(took[3]/time.Second)
	if passed < 5 || passed > most || passed+refused != 10 {
		t.Errorf("line 4: %s, want 5 to %d of 200 and the rest of 429", outs[3], most)
	}
	if strings.Count(outs[4], "200\n") != 10 || !strings.Contains(outs[4], "sidecar_faults_injected_total{") {
		t.Errorf("line 5: %s, want ten of 200, and faults counted", outs[4])
	}
	r.signal(os.Interrupt)
	if code := r.exit(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}
