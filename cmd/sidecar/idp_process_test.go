package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// provider is an identity provider with all that we ask one for: metadata,
// keys and introspection.
type provider struct {
	url    string
	server *httptest.Server

	mu      sync.Mutex       // guards all below
	answer  http.HandlerFunc // in place of all others, if there is one
	keys    http.HandlerFunc
	revoked bool
	asked   int // about tokens
}

func newProvider(t *testing.T, answer http.HandlerFunc) *provider {
	t.Helper()
	p := &provider{answer: answer}
	p.server = httptest.NewServer(p)
	t.Cleanup(p.server.Close)
	p.url = p.server.URL
	return p
}

func (p *provider) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	answer := p.answer
	if answer == nil {
		switch r.URL.Path {
		case "/.well-known/openid-configuration":
			answer = answers(200, fmt.Sprintf(`{"issuer":%q,"jwks_uri":%q}`, p.url, p.url+"/certs"))
		case "/certs":
			answer = p.keys
		case "/introspect":
			answer = p.introspect(r)
		default:
			answer = http.NotFound
		}
	}
	p.mu.Unlock()
	answer(w, r)
}

// introspect is called with mu held.
func (p *provider) introspect(r *http.Request) http.HandlerFunc {
	p.asked++
	if id, secret, _ := r.BasicAuth(); id != "orders" || secret != "cl1ent-s3cret" {
		return answers(401, "{}")
	}
	if p.revoked || r.PostFormValue("token") != "opaque-t0ken" {
		return answers(200, `{"active":false}`)
	}
	return answers(200, `{"active":true,"sub":"una","scope":"orders.read"}`)
}

// token returns one of p that s has signed.
func (p *provider) token(t *testing.T, s signer, typ string) string {
	t.Helper()
	token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"iss": p.url, "aud": "orders", "sub": "alice", "exp": time.Now().Add(time.Hour).Unix(),
	})
	token.Header["kid"], token.Header["typ"] = s.kid, typ
	signed, err := token.SignedString(s.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// A provider that is found by its name alone, and whose opaque tokens are asked
// about: it hangs, comes, rotates its keys, answers garbage and goes away.
func TestAnIdentityProviderThatMisbehaves(t *testing.T) {
	one, two := newSigner(t, "one"), newSigner(t, "two")
	come, gone := make(chan struct{}), make(chan struct{})
	comes := sync.OnceFunc(func() { close(come) })
	defer close(gone)
	defer comes()
	p := newProvider(t, func(http.ResponseWriter, *http.Request) { <-come })
	hang := func(http.ResponseWriter, *http.Request) { <-gone }
	var told string // what the upstream is told of the caller
	var mu sync.Mutex
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		told = r.Header.Get("X-User") + " " + r.Header.Get("Authorization")
	}))
	defer up.Close()
	secret := t.TempDir() + "/client"
	write(t, secret, "cl1ent-s3cret\n")
	text := strings.Replace(minimal(up.URL), "upstream: app}", `upstream: app, use: {authn: {forwardClaims: {X-User: subject}, forwardToken: false, issuers: [
  {issuer: "`+p.url+`", audiences: [orders], types: [at+jwt], jwks: {unknownKidCooldown: 1s}},
  {issuer: opaque, introspection: {url: "`+p.url+`/introspect", clientID: orders, clientSecretFile: "`+secret+`", cacheFor: 200ms, timeout: 500ms}}]}}}`, 1)
	r := run(t, text)

	get := func(token string) *http.Response {
		t.Helper()
		req, err := http.NewRequest("GET", r.data, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var problem struct{ Reason string }
		_ = json.NewDecoder(resp.Body).Decode(&problem)
		resp.Status = problem.Reason
		return resp
	}
	want := func(when, token string, status int, reason string) {
		t.Helper()
		resp := get(token)
		if resp.StatusCode != status || resp.Status != reason {
			t.Errorf("%s: %d %q, want %d %q", when, resp.StatusCode, resp.Status, status, reason)
		}
		if after := resp.Header.Get("Retry-After"); (after != "") != (status == 503) {
			t.Errorf("%s: Retry-After %q with %d", when, after, status)
		}
	}
	const opaque = "opaque-t0ken"
	byOne, byTwo := p.token(t, one, "at+jwt"), p.token(t, two, "at+jwt")

	want("while it hangs, a JWT", byOne, 503, "jwks_unavailable")
	want("while it hangs, an opaque token", opaque, 503, "introspection_unavailable")
	if status, text := ask(t, "GET", r.telemetry+"/readyz", ""); status != 503 || !strings.Contains(text, p.url) {
		t.Errorf("/readyz: %d %s, want 503 and the issuer by name", status, text)
	}
	if line := r.line("introspection"); line["to"] != "failing" || line["level"] != "WARN" || line["detail"] != "no answer within 500ms" {
		t.Errorf("the log says %v, want a warning that asking fails", line)
	}
	if _, text := ask(t, "GET", r.telemetry+"/healthz", ""); !strings.Contains(text, "issuer opaque cannot be asked about tokens") {
		t.Errorf("/healthz: %s, want it to say who cannot be asked", text)
	}

	p.set(func() { p.answer, p.keys = nil, one.publishes(t) })
	comes()
	eventually(t, "ready", func() bool {
		status, _ := ask(t, "GET", r.telemetry+"/readyz", "")
		return status == 200
	})
	want("when it is there, a JWT", byOne, 200, "")
	if told != "alice " {
		t.Errorf("the upstream is told %q, want alice and no token", told)
	}
	want("an opaque token", opaque, 200, "")
	if told != "una " {
		t.Errorf("the upstream is told %q, want una and no token", told)
	}
	want("a token that it does not know", "other", 401, "token_invalid")
	want("a JWT of another type", p.token(t, one, "JWT"), 401, "token_invalid")
	want("a forged JWT is nobody's opaque token", byOne[:len(byOne)-8]+"AAAAAAAA", 401, "token_invalid")

	p.set(func() { p.keys = two.publishes(t) })
	eventually(t, "the new key is known", func() bool { return get(byTwo).StatusCode == 200 })
	want("the old key", byOne, 401, "token_invalid")
	p.set(func() { p.revoked = true })
	eventually(t, "it is revoked", func() bool { return get(opaque).StatusCode == 401 })
	p.set(func() { p.revoked = false })

	for name, answer := range map[string]http.HandlerFunc{
		"garbage": answers(200, "<html>"), "an error": answers(500, ""), "hanging": hang,
		"an error that looks well": answers(200, `{"error":"oops"}`),
		"another's metadata":       answers(200, `{"issuer":"https://evil.example","jwks_uri":"https://evil.example"}`),
	} {
		p.set(func() { p.answer = answer })
		write(t, r.policy, text+"\n# "+name+"\n")
		r.signal(syscall.SIGHUP)
		r.line("policy reloaded")
		want("after "+name+", a JWT", byTwo, 200, "")
		eventually(t, "after "+name+" no answer is remembered", func() bool { return get(opaque).Status == "introspection_unavailable" })
	}
	p.server.CloseClientConnections()
	p.server.Listener.Close()
	want("when it is gone, a JWT", byTwo, 200, "")
	want("when it is gone, an opaque token", opaque, 503, "introspection_unavailable")

	r.signal(syscall.SIGTERM)
	if code := r.exit(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	output := r.out.String()
	for len(r.lines) > 0 {
		output += fmt.Sprint(<-r.lines)
	}
	for _, never := range []string{"cl1ent-s3cret", opaque, byTwo[len(byTwo)-40:]} {
		if strings.Contains(output, never) {
			t.Errorf("the output tells %q", never)
		}
	}
	if !strings.Contains(output, "introspection_unavailable") {
		t.Errorf("the log does not tell that an issuer could not be asked: %s", output)
	}
}
