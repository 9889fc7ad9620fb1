package proxy

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sidecar/internal/policy"
)

// A store survives every reload but one that changes how it is reached; it
// connects to nothing before it is asked.
func TestStoresSurviveAReload(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "password")
	keep := func(password string) {
		if err := os.WriteFile(secret, []byte(password), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0") // nobody answers
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	text := `
version: v1
upstreams: {app: {endpoints: [{url: "${UPSTREAM}"}]}}
stores: {shared: {redis: "redis://` + l.Addr().String() + `", timeout: 20ms, passwordFile: ` + secret + `}}
policies: {rateLimit: {one: {rate: 1/h, store: shared, onStoreFailure: deny}}}
routes: [{name: all, upstream: app, use: {rateLimit: one}}]
`
	up := service(t, func(http.ResponseWriter, *http.Request) {})
	keep("hunter2hunter2")
	p, _ := apply(t, text, up)
	first := p.Snapshot().Stores()[0]
	tests := []struct {
		name     string
		from, to string
		password string
		survives bool
	}{
		{"the same", "", "", "hunter2hunter2", true},
		{"the policy changed", "rate: 1/h", "rate: 2/h", "hunter2hunter2", true},
		{"the timeout changed", "timeout: 20ms", "timeout: 30ms", "hunter2hunter2", false},
		{"the password changed", "", "", "hunter3hunter3", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			keep("hunter2hunter2")
			if err := p.Apply(parse(t, text, up)); err != nil {
				t.Fatal(err)
			}
			before := p.Snapshot()
			keep(tt.password)
			if err := p.Apply(parse(t, strings.Replace(text, tt.from, tt.to, 1), up)); err != nil {
				t.Fatal(err)
			}
			if got := p.Snapshot().Stores()[0] == before.Stores()[0]; got != tt.survives {
				t.Errorf("the store survives: %v, want %v", got, tt.survives)
			}
			if reset := strings.Join(before.Reset(p.Snapshot()), " "); strings.Contains(reset, "store/shared") == tt.survives {
				t.Errorf("the reload has reset %q", reset)
			}
		})
	}
	if status := first.Status(); status.Failed+status.Answered != 0 {
		t.Errorf("it was asked %+v, want never", status)
	}
	url := listen(t, p)
	if resp, body := get(t, url); resp.StatusCode != http.StatusServiceUnavailable || !strings.Contains(body, "store_unavailable") {
		t.Errorf("without the store: %d %s, want 503 store_unavailable", resp.StatusCode, body)
	}
}

func TestAStoreWhoseFilesAreWrongIsAProblem(t *testing.T) {
	up := service(t, func(http.ResponseWriter, *http.Request) {})
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	text := `
version: v1
upstreams: {app: {endpoints: [{url: "${UPSTREAM}"}]}}
stores: {shared: {redis: "rediss://redis", passwordFile: ` + empty + `, tls: {caFile: ` + empty + `}}}
routes: [{name: all, upstream: app, use: {rateLimit: {rate: 1/h, store: shared}}}]
`
	p, _ := apply(t, minimal, up)
	err := p.Apply(parse(t, text, up))
	for _, want := range []string{"stores.shared.passwordFile: holds no password", "stores.shared.tls.caFile: "} {
		if _, ok := err.(policy.Problems); !ok || !strings.Contains(err.Error(), want) {
			t.Errorf("Apply() = %v, want %s", err, want)
		}
	}
}
