package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
)

// idp is an identity provider that answers as it is told to.
type idp struct {
	url    string
	asked  atomic.Int64
	answer atomic.Pointer[http.HandlerFunc]
}

func newIDP(t *testing.T, answer http.HandlerFunc) *idp {
	t.Helper()
	i := &idp{}
	i.from(answer)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.asked.Add(1)
		(*i.answer.Load())(w, r)
	}))
	t.Cleanup(s.Close)
	i.url = s.URL
	return i
}

// from lets it answer so from now on.
func (i *idp) from(answer http.HandlerFunc) { i.answer.Store(&answer) }

func answers(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

// signer is a key by its name.
type signer struct {
	*ecdsa.PrivateKey
	kid string
}

func newSigner(t *testing.T, kid string) signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signer{key, kid}
}

// publishes answers with the public half of s.
func (s signer) publishes(t *testing.T) http.HandlerFunc {
	t.Helper()
	key, err := jwkset.NewJWKFromKey(s.Public(), jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{KID: s.kid}})
	if err != nil {
		t.Fatal(err)
	}
	set, err := json.Marshal(jwkset.JWKSMarshal{Keys: []jwkset.JWKMarshal{key.Marshal()}})
	if err != nil {
		t.Fatal(err)
	}
	return answers(200, string(set))
}

// get sends a request with a token that s has signed.
func (s signer) get(t *testing.T, url string) *http.Response {
	t.Helper()
	token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"iss": "https://id.example.com/", "sub": "alice", "exp": time.Now().Add(time.Minute).Unix(),
	})
	token.Header["kid"] = s.kid
	signed, err := token.SignedString(s.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+signed)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp
}

func TestKeysOfAnIssuer(t *testing.T) {
	one, two := newSigner(t, "one"), newSigner(t, "two")
	hang, listening := make(chan struct{}), make(chan struct{})
	i := newIDP(t, func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-listening: // so that the log tells of it behind the lines that run reads
		case <-r.Context().Done():
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	t.Cleanup(func() { close(hang) })
	text := strings.Replace(minimal(well(t)), "upstream: app}", "upstream: app, use: {authn: {issuers: "+
		`[{issuer: "https://id.example.com/", jwksURL: "`+i.url+`/keys?client=hidden", jwks: {unknownKidCooldown: 1s}}]}}}`, 1)
	r := run(t, text)
	close(listening)

	// Away at start: not ready, and no client is told that its token is bad.
	resp := one.get(t, r.data)
	if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" || resp.Header.Get("WWW-Authenticate") != "" {
		t.Errorf("without keys: %d %v, want 503 with Retry-After", resp.StatusCode, resp.Header)
	}
	const reason = "the keys of issuer https://id.example.com/ were not fetched yet"
	if status, text := ask(t, "GET", r.telemetry+"/readyz", ""); status != 503 || !strings.Contains(text, reason) {
		t.Errorf("/readyz: %d %s, want 503: %s", status, text, reason)
	}
	if status, text := ask(t, "GET", r.telemetry+"/healthz", ""); status != 200 || !strings.Contains(text, `"degraded"`) || !strings.Contains(text, reason) {
		t.Errorf("/healthz: %d %s, want 200, degraded: %s", status, text, reason)
	}
	if line := r.line("jwks"); line["to"] != "failing" || line["level"] != "WARN" || line["detail"] != "the answer is 503, must be 200" {
		t.Errorf("the log says %v, want a warning that fetching fails", line)
	}
	const metric = `sidecar_jwks_last_success_timestamp_seconds{issuer="https://id.example.com/"} `
	if _, text := ask(t, "GET", r.telemetry+"/metrics", ""); !strings.Contains(text, metric+"0\n") {
		t.Errorf("metrics do not say %s0", metric)
	}

	// It comes.
	i.from(one.publishes(t))
	eventually(t, "ready", func() bool {
		status, _ := ask(t, "GET", r.telemetry+"/readyz", "")
		return status == 200
	})
	if resp := one.get(t, r.data); resp.StatusCode != 200 {
		t.Errorf("with keys: %d, want 200", resp.StatusCode)
	}
	if _, text := ask(t, "GET", r.telemetry+"/metrics", ""); !strings.Contains(text, metric+"1.") {
		t.Errorf("metrics do not say %s with a time", metric)
	}

	// It takes another key.
	if resp := two.get(t, r.data); resp.StatusCode != 401 {
		t.Errorf("a key that nobody knows: %d, want 401", resp.StatusCode)
	}
	i.from(two.publishes(t))
	eventually(t, "the cooldown is over", func() bool { return two.get(t, r.data).StatusCode == 200 })
	if resp := one.get(t, r.data); resp.StatusCode != 401 {
		t.Errorf("a key that is no more: %d, want 401", resp.StatusCode)
	}

	// Whatever it says from now on, and over a reload, the keys stay.
	for _, bad := range []struct {
		name   string
		answer http.HandlerFunc
	}{
		{"an error that looks well", answers(200, `{"error":"oops"}`)},
		{"no keys", answers(200, `{"keys":[]}`)},
		{"a page", answers(200, "<html>")},
		{"a failure", answers(500, "")},
		{"nothing", func(http.ResponseWriter, *http.Request) { <-hang }},
	} {
		asked := i.asked.Load()
		i.from(bad.answer)
		eventually(t, "it is asked for an unknown key", func() bool {
			one.get(t, r.data)
			return i.asked.Load() > asked
		})
		if resp := two.get(t, r.data); resp.StatusCode != 200 {
			t.Errorf("after %s: %d, want 200", bad.name, resp.StatusCode)
		}
		write(t, r.policy, text+"\n# "+bad.name+"\n")
		r.signal(syscall.SIGHUP)
		r.line("policy reloaded")
		if resp := two.get(t, r.data); resp.StatusCode != 200 {
			t.Errorf("after %s and a reload: %d, want 200", bad.name, resp.StatusCode)
		}
	}
	if out := r.out.String(); strings.Contains(out, "hidden") {
		t.Errorf("the URL is told: %s", out)
	}
	r.signal(syscall.SIGTERM)
	if code := r.exit(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}
