package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"
)

// proc is a process that serves at url.
type proc struct {
	url string
	cmd *exec.Cmd
}

func (p *proc) stop() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// cpu returns the time that p has run so far, in user and system mode.
func (p *proc) cpu() (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	// The second field, the name, may hold spaces; utime and stime are the
	// 14th and 15th, in hundredths of a second (proc_pid_stat(5)).
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/PID/stat says %q", stat)
	}
	var ticks int64
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}

// start runs this program as one of its children, which says its URL first.
func start(args ...string) (*proc, error) {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	p := &proc{url: strings.TrimSpace(line), cmd: cmd}
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("%s: %w", args[1], err)
	}
	return p, nil
}

// policy is every kind of policy at once, none of them refusing.
const policy = `
version: v1
server: {listen: "127.0.0.1:0", telemetry: "127.0.0.1:0", admin: "127.0.0.1:0"}
upstreams: {app: {endpoints: [{url: %q}], pool: {idleTimeout: 1m}}}
policies:
  validation: {sane: {methods: [GET, POST], contentTypes: [application/json], headers: {deny: [X-Debug]}}}
  authn: {users: {issuers: [{issuer: sidecar, secretFile: bench.secret}], forwardClaims: {X-User: subject}}}
  authz:
    rules:
      rules:
        - {name: suspended, effect: deny, when: {claims: {status: suspended}}}
        - {name: readers, effect: allow, when: {roles: [reader, writer], methods: [GET], paths: ["/v1/orders/*"]}}
  rateLimit: {each: {rate: 1000000/s, key: [principal, ip]}}
  circuitBreaker: {standard: {consecutiveFailures: 10}}
  retry: {safe: {maxAttempts: 3}}
  fault: {chaos: {abort: {status: 503}}}
routes:
  - name: orders
    match: {pathPrefix: /v1/orders}
    upstream: app
    use: {validation: sane, authn: users, authz: rules, rateLimit: each, circuitBreaker: standard, retry: safe, fault: chaos}
telemetry: {logs: {access: none}}
`

// startSidecar runs the sidecar under that policy, and returns a token for it.
func startSidecar(binary, file, upstream string) (*proc, string, error) {
	secret := strings.TrimSuffix(file, "yaml") + "secret"
	if err := os.WriteFile(secret, []byte(strings.Repeat("a secret of 32", 3)), 0o600); err != nil {
		return nil, "", err
	}
	if err := os.WriteFile(file, fmt.Appendf(nil, policy, upstream), 0o600); err != nil {
		return nil, "", err
	}
	token, err := exec.Command(binary, "token", "--secret-file", secret, "--subject", "alice", "--role", "reader").Output()
	if err != nil {
		return nil, "", fmt.Errorf("%s token: %w", binary, err)
	}
	cmd := exec.Command(binary, "run", "--policy", file)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return nil, "", err
	}
	if err := cmd.Start(); err != nil {
		return nil, "", err
	}
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		var line struct{ Msg, Listener, Address string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "listening" && line.Listener == "data" {
			go func() { _, _ = io.Copy(io.Discard, stderr) }()
			return &proc{"http://" + line.Address, cmd}, strings.TrimSpace(string(token)), nil
		}
	}
	return nil, "", fmt.Errorf("%s run: it does not listen: %s", binary, lines.Text())
}

// child serves as what it is told to be, and says where.
func child(kind string, args []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("http://" + l.Addr().String())
	handler := http.Handler(http.HandlerFunc(answer))
	if kind == "bare" {
		handler = bare(args[0])
	}
	fmt.Fprintln(os.Stderr, http.Serve(l, handler))
}

var body = []byte(strings.Repeat("x", 1<<10))

func answer(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain")
	_, _ = w.Write(body)
}

// bare is a ReverseProxy as one writes it who knows what it needs: enough idle
// connections, and buffers that are used again.
func bare(upstream string) http.Handler {
	target, err := url.Parse(upstream)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return &httputil.ReverseProxy{
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.SetURL(target)
			pr.SetXForwarded()
		},
		Transport: &http.Transport{
			MaxIdleConnsPerHost: 256, IdleConnTimeout: time.Minute, DisableCompression: true,
		},
		BufferPool: &pool{},
	}
}

type pool struct{ sync.Pool }

func (p *pool) Get() []byte {
	if b, ok := p.Pool.Get().(*[32 << 10]byte); ok {
		return b[:]
	}
	return make([]byte, 32<<10)
}

func (p *pool) Put(b []byte) { p.Pool.Put((*[32 << 10]byte)(b)) }
