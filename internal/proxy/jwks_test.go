package proxy

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"

	"sidecar/internal/authz"
	"sidecar/internal/exchange"
)

const believed = "https://id.example.com/"

// issuer is an identity provider that signs with one key and publishes it, as
// long as it is not away.
type issuer struct {
	url   string
	asked atomic.Int64

	mu   sync.Mutex // guards all below
	key  *ecdsa.PrivateKey
	kid  string
	away bool
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{}
	i.rotate(t, "one")
	i.url = service(t, i.keys)
	return i
}

func (i *issuer) keys(w http.ResponseWriter, _ *http.Request) {
	i.asked.Add(1)
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.away {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	key, err := jwkset.NewJWKFromKey(i.key.Public(), jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{KID: i.kid}})
	if err != nil {
		panic(err)
	}
	_ = json.NewEncoder(w).Encode(jwkset.JWKSMarshal{Keys: []jwkset.JWKMarshal{key.Marshal()}})
}

func (i *issuer) rotate(t *testing.T, kid string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.key, i.kid = key, kid
}

func (i *issuer) leave() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.away = true
}

// token returns one that i has signed.
func (i *issuer) token(t *testing.T) string {
	t.Helper()
	i.mu.Lock()
	defer i.mu.Unlock()
	token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"iss": believed, "sub": "alice", "exp": time.Now().Add(time.Minute).Unix(),
	})
	token.Header["kid"] = i.kid
	signed, err := token.SignedString(i.key)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// believes is a policy of two routes that believe one issuer, whose keys are
// at UPSTREAM. more stands behind its jwksURL.
func believes(more string) string {
	return `
version: v1
upstreams: {app: {endpoints: [{url: "http://app.example"}]}}
policies:
  authn:
    users: {issuers: [{issuer: "` + believed + `", jwksURL: "${UPSTREAM}/keys"` + more + `}]}
    others: {clockSkew: 10s, issuers: [{issuer: "` + believed + `", jwksURL: "${UPSTREAM}/keys"` + more + `}]}
routes:
  - {name: other, match: {path: /other}, upstream: app, use: {authn: others}}
  - {name: all, upstream: app, use: {authn: users}}
`
}

// toNowhere has an upstream that is well, without a socket.
func toNowhere(o *Options) {
	o.Transport = exchange.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
	})
}

// ask sends token to p at path.
func ask(p *Proxy, path, token string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", "http://shop.example"+path, nil)
	r.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return w
}

func TestKeysAreFetchedFromTheIssuer(t *testing.T) {
	i := newIssuer(t)
	p, _ := apply(t, believes(""), i.url, toNowhere)
	for _, path := range []string{"/other", "/all"} {
		if w := ask(p, path, i.token(t)); w.Code != 200 {
			t.Errorf("GET %s: %d %s, want 200", path, w.Code, w.Body)
		}
	}
	if n := i.asked.Load(); n != 1 {
		t.Errorf("the issuer was asked %d times, want once: the policies share its keys", n)
	}
	i.rotate(t, "two")
	if w := ask(p, "/", i.token(t)); w.Code != 200 {
		t.Errorf("signed with a new key: %d %s, want 200", w.Code, w.Body)
	}
	i.rotate(t, "three")
	if w := ask(p, "/", i.token(t)); w.Code != 401 {
		t.Errorf("signed with another new key at once: %d, want 401 within the cooldown", w.Code)
	}
	if n := i.asked.Load(); n != 2 {
		t.Errorf("the issuer was asked %d times, want twice", n)
	}
}

func TestAnIssuerThatIsAwayIsNotTheClientsFault(t *testing.T) {
	i := newIssuer(t)
	i.leave()
	p, saw := apply(t, believes(""), i.url, toNowhere)
	w := ask(p, "/", i.token(t))
	if w.Code != 503 || w.Header().Get("Retry-After") != "1" || !strings.Contains(w.Body.String(), `"reason":"jwks_unavailable"`) {
		t.Errorf("status %d, Retry-After %q, body %s, want 503 jwks_unavailable and 1", w.Code, w.Header().Get("Retry-After"), w.Body)
	}
	e := saw.next(t)
	if strings.Contains(strings.ReplaceAll(w.Body.String(), e.ID, ""), "502") { // a random id may have it
		t.Errorf("the client is told what happened inside: %s", w.Body)
	}
	if d, ok := e.noted(exchange.JWKSUnavailable); !ok || !strings.Contains(d.Detail, "the answer is 502") {
		t.Errorf("noted %+v, want the reason, and that the answer was 502", d)
	}
	if got := p.Snapshot().KeySets()[0].Status().State; got != authz.KeysWaiting {
		t.Errorf("the keys are %s, want waiting", got)
	}
}

func TestKeysSurviveAReloadThatDoesNotChangeThem(t *testing.T) {
	tests := []struct {
		name, to string
		status   int // with the issuer away: 200 is kept
		reset    string
	}{
		{"the same file", believes(""), 200, ""},
		{"lines that moved", "\n# a comment\n" + believes(""), 200, ""},
		{"defaults said aloud", believes(", jwks: {refresh: 10m, staleIfError: 24h}, algorithms: [RS256, ES256]"), 200, ""},
		{"another clock skew", strings.Replace(believes(""), "clockSkew: 10s", "clockSkew: 20s", 1), 200, ""},
		{"another URL", strings.ReplaceAll(believes(""), "/keys", "/other"), 503, "jwks/" + believed},
		{"other settings", believes(", jwks: {refresh: 11m}"), 503, "jwks/" + believed},
		{"other algorithms", believes(", algorithms: [ES256]"), 503, "jwks/" + believed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			i := newIssuer(t)
			p, _ := apply(t, believes(""), i.url, toNowhere)
			if w := ask(p, "/", i.token(t)); w.Code != 200 {
				t.Fatalf("before the reload: %d %s, want 200", w.Code, w.Body)
			}
			i.leave()
			before := p.Snapshot()
			if err := p.Apply(parse(t, tt.to, i.url)); err != nil {
				t.Fatal(err)
			}
			if w := ask(p, "/", i.token(t)); w.Code != tt.status {
				t.Errorf("after the reload: %d %s, want %d", w.Code, w.Body, tt.status)
			}
			if got := strings.Join(before.Reset(p.Snapshot()), " "); got != tt.reset {
				t.Errorf("reset %q, want %q", got, tt.reset)
			}
			if n := i.asked.Load(); tt.status == 200 && n != 1 {
				t.Errorf("the issuer was asked %d times, want once", n)
			}
		})
	}
}

// A bubble with a socket in it would not end: nothing may be asked here.
func TestALookAtAPolicyFetchesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Options{})
		s, err := p.Check(parse(t, believes(""), "https://id.example.com"))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if got := s.KeySets()[0].Status(); got.State != authz.KeysWaiting {
			t.Errorf("the keys are %s, want waiting", got.State)
		}
	})
}

func TestAPolicyThatCannotBeAppliedLeavesTheKeysAlone(t *testing.T) {
	i := newIssuer(t)
	p, _ := apply(t, believes(""), i.url, toNowhere)
	bad := believes("},{issuer: me, publicKeyFile: testdata/secret")
	if err := p.Apply(parse(t, bad, i.url)); err == nil {
		t.Fatal("Apply() = nil, want a problem")
	}
	ask(p, "/", i.token(t))
	i.rotate(t, "two")
	if w := ask(p, "/", i.token(t)); w.Code != 200 {
		t.Errorf("signed with a new key: %d, want 200: keys are still fetched", w.Code)
	}
}

// goleak hears of who goes on asking.
func TestAnIssuerThatLeavesThePolicyIsAskedNoMore(t *testing.T) {
	i := newIssuer(t)
	p, _ := apply(t, believes(""), i.url, toNowhere)
	ask(p, "/", i.token(t))
	gone := p.Snapshot()
	if err := p.Apply(parse(t, minimal, i.url)); err != nil {
		t.Fatal(err)
	}
	if n := len(p.Snapshot().KeySets()); n != 0 {
		t.Errorf("%d key sets, want none", n)
	}
	if got := strings.Join(gone.Reset(p.Snapshot()), " "); !strings.Contains(got, "jwks/https://id.example.com/") {
		t.Errorf("reset %q, want the issuer's keys in it", got)
	}
}
