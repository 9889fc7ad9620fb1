package proxy

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"sidecar/internal/exchange"
)

// opaque is a policy that asks UPSTREAM about tokens, with the secret in file.
func opaque(file, more string) string {
	return `
version: v1
upstreams: {app: {endpoints: [{url: "http://app.example"}]}}
policies:
  authn:
    users: {issuers: [{issuer: sso, introspection: {url: "${UPSTREAM}/introspect", clientID: me, clientSecretFile: "` + file + `"` + more + `}}]}
    others: {clockSkew: 10s, issuers: [{issuer: sso, introspection: {url: "${UPSTREAM}/introspect", clientID: me, clientSecretFile: "` + file + `"` + more + `}}]}
routes:
  - {name: other, match: {path: /other}, upstream: app, use: {authn: others}}
  - {name: all, upstream: app, use: {authn: users}}
`
}

// issuing is an issuer of opaque tokens, and how often it was asked.
func issuing(t *testing.T, status int) (url string, asked *atomic.Int64) {
	t.Helper()
	asked = &atomic.Int64{}
	return service(t, func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(`{"active":true,"sub":"alice"}`))
	}), asked
}

func secretFile(t *testing.T, secret string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "client")
	if err := os.WriteFile(file, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestAnswersSurviveAReloadThatDoesNotChangeTheIssuer(t *testing.T) {
	file, other := secretFile(t, "one"), secretFile(t, "two")
	tests := []struct {
		name, to string
		asked    int64
		reset    string
	}{
		{"the same file", opaque(file, ""), 1, ""},
		{"lines that moved", "\n# a comment\n" + opaque(file, ""), 1, ""},
		{"another clock skew", strings.Replace(opaque(file, ""), "clockSkew: 10s", "clockSkew: 20s", 1), 1, ""},
		{"other settings", opaque(file, ", cacheFor: 10s"), 2, "introspection/sso"},
		{"another secret", opaque(other, ""), 2, "introspection/sso"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			url, asked := issuing(t, 200)
			p, _ := apply(t, opaque(file, ""), url, toNowhere)
			before := p.Snapshot()
			for _, path := range []string{"/", "/other"} { // two policies, one issuer
				if w := ask(p, path, "t0ken"); w.Code != 200 {
					t.Fatalf("%s: %d %s, want 200", path, w.Code, w.Body)
				}
			}
			if err := p.Apply(parse(t, tt.to, url)); err != nil {
				t.Fatal(err)
			}
			if w := ask(p, "/", "t0ken"); w.Code != 200 {
				t.Errorf("after the reload: %d %s, want 200", w.Code, w.Body)
			}
			if got := strings.Join(before.Reset(p.Snapshot()), " "); got != tt.reset {
				t.Errorf("reset %q, want %q", got, tt.reset)
			}
			if n := asked.Load(); n != tt.asked {
				t.Errorf("the issuer was asked %d times, want %d", n, tt.asked)
			}
		})
	}
}

// The file's name is the same, and what it holds is not.
func TestANewSecretOfTheClientIsSent(t *testing.T) {
	file := secretFile(t, "old")
	var sent atomic.Value
	url := service(t, func(w http.ResponseWriter, r *http.Request) {
		_, secret, _ := r.BasicAuth()
		sent.Store(secret)
		_, _ = w.Write([]byte(`{"active":true}`))
	})
	p, _ := apply(t, opaque(file, ""), url, toNowhere)
	for _, secret := range []string{"old", "new"} {
		if err := os.WriteFile(file, []byte(secret), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := p.Apply(parse(t, opaque(file, ""), url)); err != nil {
			t.Fatal(err)
		}
		ask(p, "/", "t0ken")
		if got := sent.Load(); got != secret {
			t.Errorf("the secret %v was sent, want %q", got, secret)
		}
	}
}

func TestAnIssuerThatCannotBeAskedIsNotTheClientsFault(t *testing.T) {
	url, _ := issuing(t, 502)
	p, saw := apply(t, opaque(secretFile(t, "one"), ""), url, toNowhere)
	w := ask(p, "/", "t0ken")
	if w.Code != 503 || w.Header().Get("Retry-After") != "1" || !strings.Contains(w.Body.String(), `"reason":"introspection_unavailable"`) {
		t.Errorf("status %d, Retry-After %q, body %s, want 503 introspection_unavailable and 1", w.Code, w.Header().Get("Retry-After"), w.Body)
	}
	e := saw.next(t)
	if strings.Contains(strings.ReplaceAll(w.Body.String(), e.ID, ""), "502") { // a random id may have it
		t.Errorf("the client is told what happened inside: %s", w.Body)
	}
	if d, ok := e.noted(exchange.IntrospectionUnavailable); !ok || !strings.Contains(d.Detail, "the answer is 502") {
		t.Errorf("noted %+v, want the reason, and that the answer was 502", d)
	}
	if all := p.Snapshot().Introspectors(); len(all) != 1 || all[0].Issuer() != "sso" || !all[0].Failing() {
		t.Errorf("introspectors %v, want one, of sso, that fails", all)
	}
}
