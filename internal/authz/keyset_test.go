package authz

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"sidecar/internal/exchange"
)

var newKey = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })

// idp is an issuer without a socket. It answers as it is told to, and keeps
// when it was asked.
type idp struct {
	t      *testing.T
	set    *KeySet
	authn  *Authn
	began  time.Time
	events []string

	mu     sync.Mutex // guards all below
	answer func(*http.Request) (*http.Response, error)
	asked  []time.Duration // since it began
	jitter float64
}

// RoundTrip implements http.RoundTripper.
func (i *idp) RoundTrip(r *http.Request) (*http.Response, error) {
	i.mu.Lock()
	i.asked = append(i.asked, time.Since(i.began))
	answer := i.answer
	i.mu.Unlock()
	return answer(r)
}

func (i *idp) answers(answer func(*http.Request) (*http.Response, error)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.answer = answer
}

func (i *idp) random() float64 {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.jitter
}

// calls returns when it was asked since the last call of calls.
func (i *idp) calls() []time.Duration {
	i.mu.Lock()
	defer i.mu.Unlock()
	defer func() { i.asked = nil }()
	return i.asked
}

// says answers with status and body.
func says(status int, body string) func(*http.Request) (*http.Response, error) {
	return func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: status, Header: http.Header{"Location": {"https://other.example/"}}, Body: io.NopCloser(strings.NewReader(body))}, nil
	}
}

// slowly answers after d, unless the caller leaves.
func slowly(d time.Duration, then func(*http.Request) (*http.Response, error)) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		select {
		case <-time.After(d):
			return then(r)
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
}

// staleFor is short: each fetch that fails in it costs its time.
const staleFor = 20 * time.Minute

var (
	oldKeys = jwks(jwk(ecKey().Public(), map[string]any{"kid": "old"}))
	newKeys = jwks(jwk(newKey().Public(), map[string]any{"kid": "new"}))
	away    = func(*http.Request) (*http.Response, error) { return nil, errors.New("connection refused") }
)

func byOld() string { return signedBy(ecKey(), "old") }
func byNew() string { return signedBy(newKey(), "new") }

func signedBy(key *ecdsa.PrivateKey, kid string) string {
	return sign(jwt.SigningMethodES256, key, claims(nil), map[string]any{"kid": kid})
}

// newIDP returns an issuer that answers so, and a policy that believes it. The
// first answer has been there, or failed, unless it takes time. It must be
// called in a bubble.
func newIDP(t *testing.T, answer func(*http.Request) (*http.Response, error)) *idp {
	t.Helper()
	return newIDPWith(t, answer, IssuerConfig{Issuer: alice, JWKSURL: "https://id.example.com/keys?secret"})
}

func newIDPWith(t *testing.T, answer func(*http.Request) (*http.Response, error), ic IssuerConfig) *idp {
	t.Helper()
	i := &idp{t: t, began: time.Now(), answer: answer}
	c := AuthnConfig{Line: 3}
	c.SetDefaults()
	ic.JWKS = &JWKSConfig{Refresh: 10 * time.Minute, UnknownKidCooldown: 30 * time.Second, StaleIfError: staleFor}
	c.Issuers = []IssuerConfig{ic}
	a, err := NewAuthn("users", c, nil, keeper{keySet: func(c KeySetConfig) *KeySet {
		i.set = NewKeySet(c, i, i.random, func(e exchange.Event) {
			i.events = append(i.events, e.Kind+" "+e.Name+": "+e.From+" -> "+e.To+": "+e.Detail)
		})
		return i.set
	}})
	if err != nil {
		t.Fatalf("NewAuthn() = %v, want nil", err)
	}
	if i.authn = a; len(i.calls()) != 0 {
		t.Fatal("NewAuthn fetches keys, want none before Start")
	}
	i.set.Start()
	t.Cleanup(i.set.Close)
	synctest.Wait()
	return i
}

// judge returns what the policy has to say of token: a reason, or "".
func (i *idp) judge(ctx context.Context, token string) exchange.Reason {
	r, _ := request("/", "Bearer "+token)
	err := i.authn.Check(r.WithContext(ctx))
	if err == nil {
		return ""
	}
	return refusal(i.t, err).Reason
}

func (i *idp) want(token string, reason exchange.Reason, state string) {
	i.t.Helper()
	if got := i.judge(i.t.Context(), token); got != reason {
		i.t.Errorf("after %v: refused for %q, want %q", time.Since(i.began), got, reason)
	}
	if got := i.set.Status().State; got != state {
		i.t.Errorf("after %v: the keys are %s, want %s", time.Since(i.began), got, state)
	}
}

func (i *idp) wantCalls(want ...time.Duration) {
	i.t.Helper()
	synctest.Wait()
	if diff := cmp.Diff(want, i.calls()); diff != "" {
		i.t.Errorf("the issuer is asked (-want +got):\n%s", diff)
	}
}

func bubble(name string, t *testing.T, f func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

func TestKeysAreFetchedAnewBeforeTheyAreStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIDP(t, says(200, oldKeys))
		time.Sleep(24 * time.Minute)
		i.want(byOld(), "", KeysFresh)
		i.wantCalls(0, 8*time.Minute, 16*time.Minute, 24*time.Minute)
		i.mu.Lock()
		i.jitter = 1
		i.mu.Unlock()
		time.Sleep(8*time.Minute + 9*time.Minute)
		i.want(byOld(), "", KeysFresh)
		i.wantCalls(32*time.Minute, 41*time.Minute)
	})
}

func TestAFetchThatFailedIsRepeatedSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIDP(t, away)
		time.Sleep(time.Minute)
		s := time.Second // jitter is none, so that each wait is half of the longest
		i.wantCalls(0, s/2, s/2+s, s/2+3*s, s/2+7*s, s/2+15*s, s/2+30*s, s/2+45*s)
		i.answers(says(200, oldKeys))
		time.Sleep(s / 2)
		i.wantCalls(60*s + s/2)
		i.want(byOld(), "", KeysFresh)
		i.answers(away)
		time.Sleep(8*time.Minute + s/2)
		i.wantCalls(8*time.Minute+60*s+s/2, 8*time.Minute+61*s) // begins with short waits again
	})
}

// badAnswers are those that hold no key to go by.
var badAnswers = []struct {
	name   string
	answer func(*http.Request) (*http.Response, error)
	says   string
}{
	{"nobody answers", away, "connection refused"},
	{"an error", says(500, oldKeys), "the answer is 500, must be 200"},
	{"no content", says(204, ""), "the answer is 204, must be 200"},
	{"a redirect", says(302, oldKeys), "the answer is 302, must be 200"},
	{"nothing", says(200, ""), `the answer holds no JSON Web Key Set, must be {"keys": [...]}`},
	{"a page", says(200, "<html>maintenance</html>"), `the answer holds no JSON Web Key Set, must be {"keys": [...]}`},
	{"half a set", says(200, oldKeys[:len(oldKeys)/2]), `the answer holds no JSON Web Key Set, must be {"keys": [...]}`},
	{"an error that looks well", says(200, `{"error":"oops"}`), "the answer holds no keys"},
	{"null", says(200, `null`), "the answer holds no keys"},
	{"an empty set", says(200, `{"keys":[]}`), "the answer holds no keys"},
	{"a malformed key", says(200, `{"keys":[{"kty":"EC","crv":"P-256","x":"?"}]}`), "the answer holds no usable key: keys[0] cannot be parsed"},
	{"a secret", says(200, `{"keys":[{"kty":"oct","k":"YQ"}]}`), "the answer holds no usable key: keys[0] is a shared secret, which belongs into secretFile"},
	{"a key for other algorithms", says(200, jwks(jwk(edKey().Public(), nil))), "the answer holds no usable key: keys[0] holds a key for EdDSA, must be for one of [RS256 ES256]"},
	{"a huge answer", says(200, `{"pad":"`+strings.Repeat("x", int(maxKeySet))+`",`+oldKeys[1:]), "the answer is larger than 1MiB"},
	{"an endless answer", func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Body: io.NopCloser(endless{})}, nil
	}, "the answer is larger than 1MiB"},
	{"an answer that takes too long", slowly(time.Hour, says(200, newKeys)), "no answer within 5s"},
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestABadAnswerNeverTakesGoodKeysAway(t *testing.T) {
	for _, tt := range badAnswers {
		bubble(tt.name, t, func(t *testing.T) {
			i := newIDP(t, says(200, oldKeys))
			i.want(byOld(), "", KeysFresh)
			i.answers(tt.answer)
			time.Sleep(9 * time.Minute)
			i.want(byOld(), "", KeysFresh)
			time.Sleep(time.Minute + time.Second)
			i.want(byOld(), "", KeysStale)
			time.Sleep(staleFor - 2*time.Second)
			i.want(byOld(), "", KeysStale)
			time.Sleep(2 * time.Second)
			i.want(byOld(), exchange.JWKSUnavailable, KeysExpired)
			i.answers(says(200, newKeys))
			time.Sleep(lastRetry + fetchTimeout)
			i.want(byNew(), "", KeysFresh)
			i.want(byOld(), exchange.TokenInvalid, KeysFresh)
			want := []string{
				"jwks " + alice + ":  -> fetched: 1 usable key",
				"jwks " + alice + ": fetched -> failing: " + tt.says,
				"jwks " + alice + ": failing -> fetched: 1 usable key",
			}
			if diff := cmp.Diff(want, i.events); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		})
	}
}

func TestOneBadKeyDoesNotSpoilTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIDP(t, says(200, jwks(map[string]any{"kty": "EC", "crv": "P-256", "x": "?"}, jwk(ecKey().Public(), map[string]any{"kid": "old"}))))
		i.want(byOld(), "", KeysFresh)
	})
}

func TestATokenThatCannotBeJudgedIsNotRefusedAsBad(t *testing.T) {
	for _, tt := range badAnswers {
		bubble(tt.name, t, func(t *testing.T) {
			i := newIDP(t, tt.answer)
			time.Sleep(10 * time.Second) // after the last attempt and before the next one
			r, record := request("/", "Bearer "+byOld())
			f := refusal(t, i.authn.Check(r))
			if f.Reason != exchange.JWKSUnavailable || f.Header.Get("WWW-Authenticate") != "" || record.Principal() != nil {
				t.Errorf("Check() = %+v, want jwks_unavailable without a challenge", f)
			}
			if after := f.Header.Get("Retry-After"); after != "6" && tt.name != "an answer that takes too long" {
				t.Errorf("Retry-After %q, want 6: the next fetch comes after 15.5 s", after)
			}
			if want := `there are no keys of issuer "` + alice + `": ` + tt.says; f.Note != want || strings.Contains(f.Detail, tt.says) {
				t.Errorf("Check() notes %q and tells %q, want it to note %q and not to tell it", f.Note, f.Detail, want)
			}
			// What is wrong with the token itself is told as ever.
			i.want("abc", exchange.TokenInvalid, KeysWaiting)
			i.want(sign(jwt.SigningMethodES256, ecKey(), claims(map[string]any{"iss": "x"}), nil), exchange.IssuerUnknown, KeysWaiting)

			i.answers(says(200, oldKeys))
			time.Sleep(lastRetry + fetchTimeout)
			i.want(byOld(), "", KeysFresh)
		})
	}
}

func TestTheFirstRequestsWaitForTheFirstKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIDP(t, slowly(time.Second, says(200, oldKeys)))
		i.want(byOld(), "", KeysFresh)
		if took := time.Since(i.began); took != time.Second {
			t.Errorf("the first request took %v, want 1s", took)
		}
	})
}

func TestNoRequestWaitsLongForKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIDP(t, slowly(time.Hour, away))
		i.want(byOld(), exchange.JWKSUnavailable, KeysWaiting)
		if took := time.Since(i.began); took != patience {
			t.Errorf("a request took %v, want %v", took, patience)
		}
	})
}

func TestARotatedKeyIsFetchedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIDP(t, says(200, oldKeys))
		i.answers(says(200, newKeys))
		i.want(byNew(), "", KeysFresh)
		i.want(byOld(), exchange.TokenInvalid, KeysFresh)
		i.wantCalls(0, 0)
	})
}

func TestAStormOfUnknownKeysFetchesOnceInACooldown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIDP(t, says(200, oldKeys))
		i.answers(slowly(time.Second, says(200, oldKeys)))
		i.wantCalls(0)
		storm := func() {
			var wg sync.WaitGroup
			for n := range 300 {
				kid := string(rune('a' + n%26))
				wg.Go(func() {
					if got := i.judge(t.Context(), signedBy(newKey(), kid)); got != exchange.TokenInvalid {
						t.Errorf("refused for %q, want token_invalid", got)
					}
				})
			}
			wg.Wait()
		}
		storm()
		storm()
		time.Sleep(28 * time.Second) // 29 s after the fetch began
		storm()
		i.wantCalls(0)
		time.Sleep(time.Second)
		storm()
		i.wantCalls(30 * time.Second)
		i.want(byOld(), "", KeysFresh)
	})
}

func TestAStormWhileTheIssuerIsAwayFetchesOnceInACooldown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIDP(t, says(200, oldKeys))
		i.answers(away)
		for range 20 {
			i.want(byNew(), exchange.TokenInvalid, KeysFresh)
		}
		i.wantCalls(0, 0)
		time.Sleep(7 * time.Second) // what comes now is what follows a failure
		i.wantCalls(500*time.Millisecond, 1500*time.Millisecond, 3500*time.Millisecond)
	})
}

func TestAClientThatLeavesBurnsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIDP(t, says(200, oldKeys))
		i.answers(slowly(time.Second, says(200, newKeys)))
		leaving, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if got := i.judge(leaving, signedBy(newKey(), "any")); got == "" {
			t.Error("a token with an unknown key passes")
		}
		if took := time.Since(i.began); took != 20*time.Millisecond {
			t.Errorf("the client that leaves took %v, want 20ms", took)
		}
		i.want(byNew(), "", KeysFresh) // waits for the fetch that the other one caused
		i.wantCalls(0, 0)
	})
}

func TestOnlyAnUnknownKidHasKeysFetched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		two := jwks(jwk(ecKey().Public(), map[string]any{"kid": "old"}), jwk(newKey().Public(), map[string]any{"kid": "new"}))
		i := newIDP(t, says(200, two))
		for name, token := range map[string]string{
			"no kid":                        sign(jwt.SigningMethodES256, ecKey(), claims(nil), nil),
			"a kid that is no text":         sign(jwt.SigningMethodES256, ecKey(), claims(nil), map[string]any{"kid": 7}),
			"another algorithm":             sign(jwt.SigningMethodRS256, rsaKey(), claims(nil), map[string]any{"kid": "old"}),
			"an algorithm nobody takes":     sign(jwt.SigningMethodEdDSA, edKey(), claims(nil), map[string]any{"kid": "x"}),
			"a secret":                      sign(jwt.SigningMethodHS256, []byte(aSecret), claims(nil), map[string]any{"kid": "x"}),
			"another key by that name":      signedBy(newKey(), "old"),
			"a critical header":             sign(jwt.SigningMethodES256, ecKey(), claims(nil), map[string]any{"kid": "x", "crit": []string{"b64"}}),
			"keys that it brings by itself": sign(jwt.SigningMethodES256, newKey(), claims(nil), map[string]any{"kid": "old", "jku": "https://evil.example"}),
		} {
			if got := i.judge(t.Context(), token); got != exchange.TokenInvalid {
				t.Errorf("%s: refused for %q, want token_invalid", name, got)
			}
		}
		i.wantCalls(0)
	})
}

func TestAClosedKeySetFetchesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIDP(t, says(200, oldKeys))
		i.set.Close()
		i.set.Close()
		i.set.Start()
		i.want(byOld(), "", KeysFresh)
		i.want(byNew(), exchange.TokenInvalid, KeysFresh)
		time.Sleep(time.Hour)
		i.wantCalls(0)
	})
	bubble("nobody waits for it", t, func(t *testing.T) {
		i := newIDP(t, slowly(time.Hour, away))
		time.AfterFunc(time.Second, i.set.Close)
		i.want(byOld(), exchange.JWKSUnavailable, KeysWaiting)
		if took := time.Since(i.began); took != time.Second {
			t.Errorf("the request took %v, want 1s", took)
		}
		if len(i.events) != 0 {
			t.Errorf("events %v, want none: nothing has failed", i.events)
		}
	})
	bubble("before it was started", t, func(t *testing.T) {
		k := NewKeySet(KeySetConfig{}, &idp{}, nil, nil)
		k.Close()
		k.Start()
	})
}
