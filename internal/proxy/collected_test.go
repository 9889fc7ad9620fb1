package proxy

import (
	"fmt"
	"net/http"
	"runtime"
	"testing"
	"time"
	"weak"

	"sidecar/internal/authz"
	"sidecar/internal/breaker"
	"sidecar/internal/ratelimit"
	"sidecar/internal/upstream"
)

// changing is a policy in which the nth differs from all others in whatever
// has state.
func changing(secret string, n int) string {
	return fmt.Sprintf(`
version: v1
upstreams: {app: {endpoints: [{url: "http://app.example"}], pool: {idleTimeout: %[1]dms}}}
policies:
  authn:
    users:
      issuers:
        - {issuer: me, secretFile: testdata/secret}
        - {issuer: far, jwksURL: "${UPSTREAM}/keys", jwks: {refresh: %[1]dms}}
        - {issuer: opaque, introspection: {url: "${UPSTREAM}/ask", clientID: me, clientSecretFile: "%[2]s", cacheFor: %[1]dms}}
  authz:
    opa: {external: {url: "${UPSTREAM}/decide", timeout: %[1]dms, cache: {for: %[1]dms}}}
  circuitBreaker: {quick: {openFor: {base: %[1]dms}}}
  rateLimit: {one: {rate: %[1]d/s}}
  retry: {some: {backoff: {base: %[1]dms, max: 30s}}}
routes:
  - {name: all, upstream: app, use: {authn: users, authz: opa, rateLimit: one, circuitBreaker: quick, retry: some}}
`, n, secret)
}

// A policy that is replaced, and its state, are let go of: what one remembers,
// and what tells of it, must not lead back to those before.
func TestPoliciesThatWereReplacedAreCollected(t *testing.T) {
	const reloads = 200
	url := service(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/ask" {
			_, _ = w.Write([]byte(`{"active":true,"sub":"alice"}`))
		}
	})
	secret := secretFile(t, "client")
	p, _ := apply(t, changing(secret, 20_000), url, toNowhere)
	jwt, err := authz.Sign([]byte("0123456789abcdef0123456789abcdef"), authz.Token{Subject: "alice", Issuer: "me", TTL: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	goroutines := runtime.NumGoroutine()
	var old []func() string
	for n := range reloads {
		for _, token := range []string{"opaque", jwt} {
			if w := ask(p, "/", token); w.Code != 200 {
				t.Fatalf("reload %d: %d %s, want 200", n, w.Code, w.Body)
			}
		}
		old = append(old, watched(p.Snapshot())...)
		if err := p.Apply(parse(t, changing(secret, 20_001+n), url)); err != nil {
			t.Fatal(err)
		}
	}
	var left map[string]int
	for until := time.Now().Add(10 * time.Second); time.Now().Before(until); time.Sleep(10 * time.Millisecond) {
		runtime.GC()
		left = map[string]int{}
		for _, alive := range old {
			if kind := alive(); kind != "" {
				left[kind]++
			}
		}
		if len(left) == 0 {
			break
		}
	}
	if len(left) > 0 {
		t.Errorf("of %d policies are left: %v, want nothing", reloads, left)
	}
	if now := runtime.NumGoroutine(); now > goroutines+10 {
		t.Errorf("%d goroutines, %d before, want no more", now, goroutines)
	}
}

// watched returns, of the snapshot and each of its states, what tells its kind
// as long as it is there.
func watched(s *Snapshot) []func() string {
	all := []func() string{watch("snapshot", s), watch("breaker", one[*breaker.State](s.state)), watch("buckets", one[*ratelimit.Buckets](s.state))}
	all = append(all, watch("external", one[*authz.External](s.state)), watch("upstream", one[*upstream.Upstream](s.state)))
	for _, k := range s.KeySets() {
		all = append(all, watch("key set", k))
	}
	for _, n := range s.Introspectors() {
		all = append(all, watch("introspector", n))
	}
	return all
}

func one[S any](s state) (last S) {
	for _, last = range objects[S](s) {
	}
	return last
}

func watch[T any](kind string, at *T) func() string {
	p := weak.Make(at)
	return func() string {
		if p.Value() == nil {
			return ""
		}
		return kind
	}
}
