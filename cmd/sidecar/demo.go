package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"sidecar/configs"
	"sidecar/internal/authz"
	"sidecar/internal/policy"
)

type demoCmd struct {
	Policy string `type:"existingfile" help:"Another policy file than the built-in configs/demo.yaml." placeholder:"FILE"`
}

// Run serves a flaky upstream, and the sidecar in front of it, until the
// process is told to end.
func (c demoCmd) Run(p *process) error {
	upstream, err := startFlaky()
	if err != nil {
		return err
	}
	defer upstream.stop()
	folder, err := os.MkdirTemp("", "sidecar-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	secret := filepath.Join(folder, "demo.secret")
	key := rand.Text() + rand.Text()
	if err := os.WriteFile(secret, []byte(key), 0o600); err != nil {
		return err
	}
	token, err := authz.Sign([]byte(key), authz.Token{
		Subject: "alice", Roles: []string{"reader"}, Issuer: "sidecar", Audience: "shop", TTL: time.Hour,
	})
	if err != nil {
		return err
	}
	vars := map[string]string{"DEMO_UPSTREAM": upstream.url, "DEMO_SECRET_FILE": secret}
	return serve(p, func(o policy.Options) (*policy.File, error) { return c.load(o, vars) }, func(s *sidecar) {
		printDemo(p.stdout, s, upstream.url, token)
	})
}

// load reads the demo's policy, with vars set beside the environment.
func (c demoCmd) load(o policy.Options, vars map[string]string) (*policy.File, error) {
	o.LookupEnv = func(name string) (string, bool) {
		if value, ok := vars[name]; ok {
			return value, true
		}
		return os.LookupEnv(name)
	}
	if c.Policy != "" {
		return policy.Load(c.Policy, o)
	}
	return policy.Parse("demo.yaml", configs.Demo, o)
}

// printDemo says where everything is, and what to try.
func printDemo(w io.Writer, s *sidecar, upstream, token string) {
	at, admin, telemetry := "http://"+s.data.addr(), "http://"+s.admin.addr(), "http://"+s.telemetry.addr()
	auth := "-H 'Authorization: Bearer " + token + "'"
	fmt.Fprintf(w, `
sidecar    %s
telemetry  %s/metrics  %s/healthz
admin      %s/faults  %s/breakers
upstream   %s  (every fifth answer of /catalog is a 503; it is made to be)
token      %s  (alice, a reader, for an hour)

Try, line by line:

# 1. It passes: the token is good, and a reader may read.
curl -i %s %s/orders/42
# 2. 401: without a token.
curl -i %s/orders/42
# 3. 403: a reader may not write.
curl -i %s -X POST -H 'Content-Type: application/json' -d '{}' %s/orders
# 4. 429: ten at once, and five is the limit.
for i in 1 2 3 4 5 6 7 8 9 10; do curl -s -o /dev/null -w '%%{http_code}\n' %s/search; done
# 5. A fault breaks every fifth call to the upstream; retries absorb it: all 200.
curl -s -X PUT -d '{"percent": 20, "duration": "1m"}' %s/faults/chaos; for i in 1 2 3 4 5 6 7 8 9 10; do curl -s -o /dev/null -w '%%{http_code}\n' %s/catalog; done; curl -s %s/metrics | grep -E '^sidecar_(faults_injected|retries)_total'

`, at, telemetry, telemetry, admin, admin, upstream, token,
		auth, at, at, auth, at, at, admin, at, telemetry)
}

// flaky is an upstream that fails on purpose.
type flaky struct {
	url    string
	server *http.Server
}

func startFlaky() (*flaky, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f := &flaky{
		url:    "http://" + l.Addr().String(),
		server: &http.Server{Handler: flakyHandler(), ReadHeaderTimeout: 5 * time.Second},
	}
	go func() { _ = f.server.Serve(l) }() // it ends with stop
	return f, nil
}

func (f *flaky) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = f.server.Shutdown(ctx)
}
