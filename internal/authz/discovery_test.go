package authz

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"sidecar/internal/exchange"
)

// pages answers with 200 and the page at the URL, else with 404.
func pages(at map[string]string) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		page, ok := at[r.URL.String()]
		if !ok {
			return says(404, "")(r)
		}
		return says(200, page)(r)
	}
}

func metadata(issuer, jwksURI string) string {
	return string(must(json.Marshal(map[string]string{"issuer": issuer, "jwks_uri": jwksURI})))
}

var es256 = jwt.SigningMethodES256

const keysAt = "https://keys.example.com/all?v=1"

// discovering returns an idp whose keys only its metadata tell. It must be
// called in a bubble.
func discovering(t *testing.T, answer func(*http.Request) (*http.Response, error)) *idp {
	t.Helper()
	return newIDPWith(t, answer, IssuerConfig{Issuer: alice})
}

func TestKeysAreDiscovered(t *testing.T) {
	const tenant = "https://id.example.com/a%2Fb/realms/x"
	tests := []struct {
		name   string
		issuer string
		at     string
	}{
		{"OpenID Connect", "https://id.example.com", "https://id.example.com/.well-known/openid-configuration"},
		{"a slash at the end", alice, "https://id.example.com/.well-known/openid-configuration"},
		{"a path", tenant, tenant + "/.well-known/openid-configuration"},
		{"a path and a slash", tenant + "/", tenant + "/.well-known/openid-configuration"},
		{"OAuth", "https://id.example.com", "https://id.example.com/.well-known/oauth-authorization-server"},
		{"OAuth and a path", tenant, "https://id.example.com/.well-known/oauth-authorization-server/a%2Fb/realms/x"},
		{"this machine", "http://127.0.0.1:81", "http://127.0.0.1:81/.well-known/openid-configuration"},
	}
	for _, tt := range tests {
		bubble(tt.name, t, func(t *testing.T) {
			keysAt := keysAt
			if strings.HasPrefix(tt.issuer, "http:") {
				keysAt = "http://[::1]:82/keys" // on the same machine
			}
			i := newIDPWith(t, pages(map[string]string{tt.at: metadata(tt.issuer, keysAt), keysAt: oldKeys}), IssuerConfig{Issuer: tt.issuer})
			token := sign(es256, ecKey(), claims(map[string]any{"iss": tt.issuer}), map[string]any{"kid": "old"})
			i.want(token, "", KeysFresh)
		})
	}
}

func TestMetadataThatAreNotBelieved(t *testing.T) {
	const at = "https://id.example.com/.well-known/openid-configuration"
	tests := []struct {
		name  string
		pages map[string]string
		says  string
	}{
		{"none", nil, "discovery: the answer is 404, must be 200"},
		{"another issuer", map[string]string{at: metadata("https://evil.example/", keysAt)}, `discovery: the answer is of issuer "https://evil.example/", must be "https://id.example.com/"`},
		{"the issuer without its slash", map[string]string{at: metadata("https://id.example.com", keysAt)}, `discovery: the answer is of issuer "https://id.example.com", must be "https://id.example.com/"`},
		{"the issuer in other letters", map[string]string{at: metadata("https://ID.example.com/", keysAt)}, `discovery: the answer is of issuer "https://ID.example.com/", must be "https://id.example.com/"`},
		{"no issuer", map[string]string{at: `{"ISSUER":"` + alice + `","jwks_uri":"` + keysAt + `"}`}, `discovery: the answer is of issuer "", must be "https://id.example.com/"`},
		{"no URL of keys", map[string]string{at: `{"issuer":"` + alice + `"}`}, "discovery: the answer holds no jwks_uri"},
		{"keys in the clear", map[string]string{at: metadata(alice, "http://keys.example.com/")}, `discovery: the answer's jwks_uri must be an https URL, or an http one to this machine, got "http://keys.example.com/"`},
		{"keys in a file", map[string]string{at: metadata(alice, "file:///etc/passwd")}, `discovery: the answer's jwks_uri must be an https URL, or an http one to this machine, got "file:///etc/passwd"`},
		{"keys on this machine", map[string]string{at: metadata(alice, "http://127.0.0.1:9901/faults")}, `discovery: the answer's jwks_uri must not be on this machine, where the issuer is not, got "http://127.0.0.1:9901/faults"`},
		{"keys on this machine, by TLS", map[string]string{at: metadata(alice, "https://localhost:1/")}, `discovery: the answer's jwks_uri must not be on this machine, where the issuer is not, got "https://localhost:1/"`},
		{"a URL without end", map[string]string{at: metadata(alice, "https://keys.example.com/"+strings.Repeat("x", maxURL))}, "discovery: the answer holds no jwks_uri"},
		{"a list", map[string]string{at: `[]`}, "discovery: the answer holds no JSON object"},
		{"a page", map[string]string{at: `<html>`}, "discovery: the answer holds no JSON object"},
		{"keys that are not there", map[string]string{at: metadata(alice, "https://keys.example.com/other")}, "the answer is 404, must be 200"},
	}
	for _, tt := range tests {
		bubble(tt.name, t, func(t *testing.T) {
			all := map[string]string{keysAt: oldKeys}
			for url, page := range tt.pages {
				all[url] = page
			}
			i := discovering(t, pages(all))
			i.want(byOld(), exchange.JWKSUnavailable, KeysWaiting)
			i.wantEvents("jwks " + alice + ":  -> failing: " + tt.says)
		})
	}
}

func TestABadDiscoveryNeverTakesGoodKeysAway(t *testing.T) {
	good := map[string]string{
		"https://id.example.com/.well-known/openid-configuration": metadata(alice, keysAt),
		keysAt: oldKeys,
	}
	for _, tt := range badAnswers {
		bubble(tt.name, t, func(t *testing.T) {
			i := discovering(t, pages(good))
			i.want(byOld(), "", KeysFresh)
			i.answers(tt.answer)
			time.Sleep(11 * time.Minute)
			i.want(byOld(), "", KeysStale)
			i.answers(pages(good))
			time.Sleep(lastRetry + fetchTimeout)
			i.want(byOld(), "", KeysFresh)
		})
	}
}

func TestKeysThatMoveAreFoundAgain(t *testing.T) {
	const meta, moved = "https://id.example.com/.well-known/openid-configuration", "https://keys.example.com/moved"
	synctest.Test(t, func(t *testing.T) {
		i := discovering(t, pages(map[string]string{meta: metadata(alice, keysAt), keysAt: oldKeys}))
		i.want(byOld(), "", KeysFresh)
		i.answers(pages(map[string]string{meta: metadata(alice, moved), moved: newKeys}))
		i.want(byNew(), "", KeysFresh) // an unknown kid has them looked for at once
		i.want(byOld(), exchange.TokenInvalid, KeysFresh)
	})
}

// An issuer that hangs takes its own time only.
func TestOneIssuerNeverDelaysAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const bob = "https://bob.example.com/"
		i := &idp{t: t, began: time.Now(), answer: func(r *http.Request) (*http.Response, error) {
			if r.URL.Host == "bob.example.com" {
				return slowly(time.Hour, away)(r)
			}
			return says(200, oldKeys)(r)
		}}
		var c AuthnConfig
		c.SetDefaults()
		c.Issuers = []IssuerConfig{{Issuer: bob}, {Issuer: alice, JWKSURL: keysAt}}
		a, err := NewAuthn("users", c, nil, keeper{keySet: func(c KeySetConfig) *KeySet {
			k := NewKeySet(c, i, i.random, func(exchange.Event) {})
			t.Cleanup(k.Close)
			k.Start()
			return k
		}})
		if err != nil {
			t.Fatal(err)
		}
		i.authn = a
		of := func(iss string) string {
			return sign(es256, ecKey(), claims(map[string]any{"iss": iss, "exp": time.Now().Add(time.Hour).Unix()}), map[string]any{"kid": "old"})
		}
		began := time.Now()
		done := make(chan exchange.Reason)
		go func() { done <- i.judge(t.Context(), of(bob)) }() // waits
		for range 5 {
			if got := i.judge(t.Context(), of(alice)); got != "" {
				t.Errorf("a token of the issuer that is well: refused for %q, want it to pass", got)
			}
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("tokens of the issuer that is well took %v, want none", took)
		}
		if got, took := <-done, time.Since(began); got != exchange.JWKSUnavailable || took != patience {
			t.Errorf("a token of the issuer that hangs: %q after %v, want jwks_unavailable after %v", got, took, patience)
		}
		time.Sleep(8 * time.Minute)
		synctest.Wait()
		if got := i.judge(t.Context(), of(alice)); got != "" {
			t.Errorf("after its refresh: refused for %q, want it to pass", got)
		}
	})
}

func FuzzMetadata(f *testing.F) {
	for _, seed := range []string{metadata(alice, keysAt), `{}`, `{"issuer":null}`, `{"issuer":"` + alice + `","issuer":"x","jwks_uri":"http://x"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		at, err := parseMetadata(data, alice)
		if err == nil && (exchange.SecureURL(at) != "" || toLoopback(at)) {
			t.Errorf("parseMetadata(%q) = %q, want only what a jwksURL may be, and not this machine", data, at)
		}
		var members map[string]any
		if json.Unmarshal(data, &members); err == nil && members["issuer"] != alice {
			t.Errorf("parseMetadata(%q) = nil, want the issuer to be told exactly", data)
		}
	})
}

func (i *idp) wantEvents(want ...string) {
	i.t.Helper()
	if diff := cmp.Diff(want, i.events); diff != "" {
		i.t.Errorf("events (-want +got):\n%s", diff)
	}
}
