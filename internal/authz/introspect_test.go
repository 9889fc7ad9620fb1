package authz

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sidecar/internal/exchange"
)

const (
	clientSecret = "p:ss %wörd"
	opaqueToken  = "v1.local-opaque_token~1"
	askedAt      = "https://id.example.com/introspect?secret"
)

// opaqueIDP is an idp that is asked about opaque tokens.
type opaqueIDP struct {
	*idp
	by *Introspector
}

// newAsked returns an issuer of opaque tokens that answers so, and a policy
// that believes it, and alice's JWTs by a secret. It must be called in a bubble.
func newAsked(t *testing.T, answer func(*http.Request) (*http.Response, error), with func(c *AuthnConfig)) *opaqueIDP {
	t.Helper()
	a := &opaqueIDP{idp: &idp{t: t, began: time.Now(), answer: answer}}
	c := AuthnConfig{Line: 3}
	c.SetDefaults()
	in := &IntrospectionConfig{}
	in.SetDefaults()
	in.URL, in.ClientID, in.ClientSecretFile = askedAt, "or:ders", "client"
	c.Issuers = []IssuerConfig{{Issuer: "opaque", Introspection: in}, {Issuer: alice, SecretFile: "key"}}
	if with != nil {
		with(&c)
	}
	policy, err := NewAuthn("users", c, files{"client": clientSecret + "\n", "key": aSecret}.read, keeper{introspector: func(c IntrospectorConfig) *Introspector {
		a.by = NewIntrospector(c, a, func(e exchange.Event) {
			a.events = append(a.events, e.Kind+" "+e.Name+": "+e.From+" -> "+e.To+": "+e.Detail)
		})
		return a.by
	}})
	if err != nil {
		t.Fatalf("NewAuthn() = %v, want nil", err)
	}
	a.authn = policy
	t.Cleanup(a.by.Close)
	return a
}

// wantReason demands that token is refused so.
func (a *opaqueIDP) wantReason(token string, want exchange.Reason) {
	a.t.Helper()
	if got := a.judge(a.t.Context(), token); got != want {
		a.t.Errorf("after %v: refused for %q, want %q", time.Since(a.began), got, want)
	}
}

const active = `{"active":true,"sub":"u1","scope":"orders.read orders.write","username":"una","client_id":"web"}`

func TestTheIssuerIsAskedAsRFC7662Says(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		a := newAsked(t, func(r *http.Request) (*http.Response, error) {
			body := must(io.ReadAll(r.Body))
			user, password, _ := r.BasicAuth()
			got = []string{
				r.Method, r.URL.String(), r.Header.Get("Content-Type"), r.Header.Get("Accept"), user, password, string(body),
				fmt.Sprint(r.ContentLength == int64(len(body)), r.GetBody != nil),
			}
			return says(200, active)(r)
		}, nil)
		r, record := request("/", "Bearer a+b/c==")
		if err := a.authn.Check(r); err != nil {
			t.Fatalf("Check() = %v, want nil", err)
		}
		want := []string{
			"POST", askedAt, "application/x-www-form-urlencoded", "application/json",
			"or%3Aders", "p%3Ass+%25w%C3%B6rd", "token=a%2Bb%2Fc%3D%3D&token_type_hint=access_token", "true true",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("the issuer is asked (-want +got):\n%s", diff)
		}
		p := record.Principal()
		scope, _ := p.Claim("scope")
		username, _ := p.Claim("username")
		if p.Subject != "u1" || p.Issuer != "opaque" || scope != "orders.read orders.write" || username != "una" {
			t.Errorf("principal = %+v, want u1 of opaque, and what the issuer said", p)
		}
	})
}

func TestWhatAnIssuerSaysOfAToken(t *testing.T) {
	at := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
	forOrders := func(c *AuthnConfig) { c.Issuers[0].Audiences = []string{"orders", "billing"} }
	tests := []struct {
		name string
		with func(c *AuthnConfig)
		says func() string
		want exchange.Reason
	}{
		{"active", nil, func() string { return active }, ""},
		{"active, and no more", nil, func() string { return `{"active":true}` }, ""},
		{"active, and nulls that say nothing", nil, func() string { return `{"active":true,"exp":null,"iss":null,"sub":null,"aud":null}` }, ""},
		{"our issuer", nil, func() string { return `{"active":true,"iss":"opaque"}` }, ""},
		{"expired within the skew", nil, func() string { return fmt.Sprintf(`{"active":true,"exp":%d}`, at(-skew/2)) }, ""},
		{"one of the audiences", forOrders, func() string { return `{"active":true,"aud":["x","billing"]}` }, ""},
		{"an audience that nobody asked about", nil, func() string { return `{"active":true,"aud":"x"}` }, ""},

		{"not active", nil, func() string { return `{"active":false}` }, exchange.TokenInvalid},
		{"not active, and a principal", nil, func() string { return `{"active":false,"sub":"root"}` }, exchange.TokenInvalid},
		{"expired", nil, func() string { return fmt.Sprintf(`{"active":true,"exp":%d}`, at(-time.Hour)) }, exchange.TokenExpired},
		{"not valid yet", nil, func() string { return fmt.Sprintf(`{"active":true,"nbf":%d}`, at(time.Hour)) }, exchange.TokenInvalid},
		{"exp that is no number", nil, func() string { return `{"active":true,"exp":"never"}` }, exchange.TokenInvalid},
		{"another issuer", nil, func() string { return `{"active":true,"iss":"https://evil.example"}` }, exchange.TokenInvalid},
		{"an issuer that is a list", nil, func() string { return `{"active":true,"iss":["opaque"]}` }, exchange.TokenInvalid},
		{"another audience", forOrders, func() string { return `{"active":true,"aud":"x"}` }, exchange.TokenInvalid},
		{"no audience", forOrders, func() string { return `{"active":true}` }, exchange.TokenInvalid},
		{"sub that is a number", nil, func() string { return `{"active":true,"sub":7}` }, exchange.TokenInvalid},
	}
	for _, tt := range tests {
		bubble(tt.name, t, func(t *testing.T) {
			a := newAsked(t, says(200, tt.says()), tt.with)
			for range 2 { // asked, and known
				r, record := request("/", "Bearer "+opaqueToken)
				wantAuthn(t, a.authn.Check(r), record, tt.want, "invalid_token")
			}
			a.wantCalls(0)
		})
	}
}

// badIntrospections are answers by which nothing can be judged.
var badIntrospections = []struct {
	name   string
	answer func(*http.Request) (*http.Response, error)
	says   string
}{
	{"nobody answers", away, "connection refused"},
	{"an error that quotes the token", func(*http.Request) (*http.Response, error) {
		return nil, errors.New(`malformed HTTP response "` + opaqueToken + `"`)
	}, `malformed HTTP response "..."`},
	{"an error", says(500, active), "the answer is 500, must be 200"},
	{"our secret is refused", says(401, `{"error":"invalid_client"}`), "the answer is 401, must be 200"},
	{"a redirect", says(302, active), "the answer is 302, must be 200"},
	{"nothing", says(200, ""), "the answer holds no JSON object"},
	{"null", says(200, "null"), "the answer holds no JSON object"},
	{"a page", says(200, "<html>"), "the answer holds no JSON object"},
	{"a list", says(200, "["+active+"]"), "the answer holds no JSON object"},
	{"two answers", says(200, active+active), "the answer holds more than one JSON object"},
	{"half an answer", says(200, active[:20]), "the answer holds no JSON object"},
	{"no word on it", says(200, `{"sub":"u1"}`), "the answer does not say whether the token is active"},
	{"a word in capitals", says(200, `{"Active":true}`), "the answer does not say whether the token is active"},
	{"a text", says(200, `{"active":"true"}`), "the answer does not say whether the token is active"},
	{"a number", says(200, `{"active":1}`), "the answer does not say whether the token is active"},
	{"a huge answer", says(200, `{"pad":"`+strings.Repeat("x", int(maxIntrospection))+`",`+active[1:]), "the answer is larger than 64KiB"},
	{"an endless answer", func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Body: io.NopCloser(endless{})}, nil
	}, "the answer is larger than 64KiB"},
	{"an answer that takes too long", slowly(time.Hour, says(200, active)), "no answer within 2s"},
}

func TestATokenThatNobodyCanBeAskedAboutIsNotRefusedAsBad(t *testing.T) {
	for _, tt := range badIntrospections {
		bubble(tt.name, t, func(t *testing.T) {
			a := newAsked(t, tt.answer, nil)
			r, record := request("/", "Bearer "+opaqueToken)
			f := refusal(t, a.authn.Check(r))
			if f.Reason != exchange.IntrospectionUnavailable || f.Header.Get("Retry-After") != "1" || f.Header.Get("WWW-Authenticate") != "" || record.Principal() != nil {
				t.Errorf("Check() = %+v, want introspection_unavailable, to come again after 1 s, without a challenge", f)
			}
			if want := `introspection by issuer "opaque": ` + tt.says; f.Note != want {
				t.Errorf("noted %q, want %q", f.Note, want)
			}
			if !a.by.Failing() {
				t.Error("Failing() = false, want true")
			}
			// JWTs of another issuer go on, good ones and bad ones.
			a.wantReason(hs256(claims(nil)), "")
			a.wantReason(hs256(claims(map[string]any{"exp": 1})), exchange.TokenExpired)

			time.Sleep(saidFor)
			a.answers(says(200, active))
			a.wantReason(opaqueToken, "") // nothing is remembered of a failure
			if a.by.Failing() {
				t.Error("Failing() = true, want false")
			}
			a.wantEvents("introspection opaque:  -> failing: "+tt.says, "introspection opaque: failing -> answering: ")
			if told := fmt.Sprint(f, a.events); strings.Contains(told, clientSecret) || strings.Contains(told, opaqueToken) || strings.Contains(told, "secret") {
				t.Errorf("the secret, the token or the URL is told: %s", told)
			}
		})
	}
}

func TestWhichTokensAnIssuerIsAskedAbout(t *testing.T) {
	long := func(change map[string]any) string { // bubbles have a clock of their own
		change["nbf"] = nil
		return hs256(claims(change))
	}
	good := long(map[string]any{})
	tests := []struct {
		name  string
		token string
		asked bool
		want  exchange.Reason
	}{
		{"an opaque one", opaqueToken, true, ""},
		{"one with the dots of a JWT", "a.b.c", true, ""},
		{"a JWT of a stranger", long(map[string]any{"iss": "https://other.example"}), true, ""},
		{"a JWT of its own", long(map[string]any{"iss": "opaque"}), true, ""},
		{"a JWT of nobody", long(map[string]any{"iss": nil}), true, ""},

		{"a JWT of a known issuer", good, false, ""},
		{"a forged JWT of a known issuer", good[:len(good)-4] + "AAAA", false, exchange.TokenInvalid},
		{"a JWT of a known issuer and of a stranger", signed(`{"iss":"` + alice + `","iss":"https://other.example"}`), false, exchange.TokenInvalid},
		{"an expired JWT of a known issuer", long(map[string]any{"exp": 1}), false, exchange.TokenExpired},
		{"no token", "", false, exchange.TokenMalformed},
		{"one that no header may hold", `a"b`, false, exchange.TokenMalformed},
		{"a huge one", strings.Repeat("x", maxToken+1), false, exchange.TokenInvalid},
	}
	for _, tt := range tests {
		bubble(tt.name, t, func(t *testing.T) {
			a := newAsked(t, says(200, active), nil)
			a.wantReason(tt.token, tt.want)
			if got := len(a.calls()) > 0; got != tt.asked {
				t.Errorf("the issuer is asked: %t, want %t", got, tt.asked)
			}
		})
	}
}

func TestHowLongAnAnswerHolds(t *testing.T) {
	s := time.Second
	bubble("an active one, for cacheFor", t, func(t *testing.T) {
		a := newAsked(t, says(200, active), nil)
		a.wantReason(opaqueToken, "")
		a.answers(says(200, `{"active":false}`)) // revoked
		time.Sleep(30*s - time.Nanosecond)
		a.wantReason(opaqueToken, "")
		time.Sleep(time.Nanosecond)
		a.wantReason(opaqueToken, exchange.TokenInvalid)
		a.wantCalls(0, 30*s)
	})
	bubble("not longer for the time that it took", t, func(t *testing.T) {
		a := newAsked(t, slowly(s, says(200, active)), nil)
		a.wantReason(opaqueToken, "")
		time.Sleep(29*s - time.Nanosecond)
		a.wantReason(opaqueToken, "")
		time.Sleep(time.Nanosecond)
		a.wantReason(opaqueToken, "")
		a.wantCalls(0, 30*s)
	})
	bubble("not longer than the token", t, func(t *testing.T) {
		a := newAsked(t, says(200, fmt.Sprintf(`{"active":true,"exp":%d}`, time.Now().Add(5*s).Unix())), func(c *AuthnConfig) { c.ClockSkew = 0 })
		a.wantReason(opaqueToken, "")
		time.Sleep(5*s - time.Nanosecond)
		a.wantReason(opaqueToken, "")
		time.Sleep(time.Nanosecond)
		a.wantReason(opaqueToken, exchange.TokenExpired)
		a.wantCalls(0)
	})
	bubble("no time at all", t, func(t *testing.T) {
		a := newAsked(t, says(200, active), func(c *AuthnConfig) { c.Issuers[0].Introspection.CacheFor = 0 })
		a.wantReason(opaqueToken, "")
		a.wantReason(opaqueToken, "")
		a.wantCalls(0, 0)
	})
	bubble("one that is not active, for 5s", t, func(t *testing.T) {
		a := newAsked(t, says(200, `{"active":false}`), nil)
		for range 1000 {
			a.wantReason(opaqueToken, exchange.TokenInvalid)
		}
		a.wantReason(opaqueToken+"x", exchange.TokenInvalid) // another token is another question
		time.Sleep(5*s - time.Nanosecond)
		a.wantReason(opaqueToken, exchange.TokenInvalid)
		time.Sleep(time.Nanosecond)
		a.answers(says(200, active))
		a.wantReason(opaqueToken, "")
		a.wantCalls(0, 0, 5*s)
	})
	bubble("over a reload", t, func(t *testing.T) {
		a := newAsked(t, says(200, active), nil)
		a.wantReason(opaqueToken, "")
		var c AuthnConfig
		c.SetDefaults()
		c.Issuers = []IssuerConfig{{Issuer: "opaque", Introspection: &a.by.config.Introspection}}
		a.authn = must(NewAuthn("users", c, files{"client": "x"}.read, keeper{introspector: func(IntrospectorConfig) *Introspector { return a.by }}))
		a.wantReason(opaqueToken, "")
		a.wantCalls(0)
	})
}

func TestRequestsWithOneTokenShareACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAsked(t, slowly(time.Second, says(200, active)), nil)
		leaving, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() {
			if got := a.judge(leaving, opaqueToken); got != exchange.IntrospectionUnavailable {
				t.Errorf("the client that leaves: %q, want introspection_unavailable", got)
			}
			if took := time.Since(a.began); took != 20*time.Millisecond {
				t.Errorf("the client that leaves took %v, want 20ms", took)
			}
		})
		synctest.Wait() // it is the one who asks
		for range 300 {
			wg.Go(func() {
				if got := a.judge(t.Context(), opaqueToken); got != "" {
					t.Errorf("refused for %q, want it to pass", got)
				}
			})
		}
		wg.Wait()
		a.wantCalls(0)
	})
}

func TestCallsAreBounded(t *testing.T) {
	few := func(c *AuthnConfig) { c.Issuers[0].Introspection.MaxConcurrent = 2 }
	// storm sends n tokens at once and counts what comes of them.
	storm := func(a *opaqueIDP, n int) map[exchange.Reason]int {
		var mu sync.Mutex
		got := map[exchange.Reason]int{}
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() {
				why := a.judge(a.t.Context(), fmt.Sprint(opaqueToken, i))
				mu.Lock()
				defer mu.Unlock()
				got[why]++
			})
		}
		wg.Wait()
		return got
	}
	s := time.Second
	bubble("they wait for each other", t, func(t *testing.T) {
		a := newAsked(t, slowly(600*time.Millisecond, says(200, active)), few)
		got := storm(a, 10) // three rounds of two are answered within 2s
		if diff := cmp.Diff(map[exchange.Reason]int{"": 6, exchange.IntrospectionUnavailable: 4}, got); diff != "" {
			t.Errorf("a storm (-want +got):\n%s", diff)
		}
		if took := time.Since(a.began); took != 2*s {
			t.Errorf("the storm took %v, want the timeout, 2s", took)
		}
	})
	bubble("too many are refused at once", t, func(t *testing.T) {
		a := newAsked(t, slowly(time.Hour, away), few)
		got := storm(a, 100)
		if took := time.Since(a.began); took != 2*s || got[exchange.IntrospectionUnavailable] != 100 {
			t.Errorf("a storm ends so: %v after %v, want 100 introspection_unavailable after 2s", got, took)
		}
		if n := len(a.calls()); n > 4 { // two at once; two more where a slot came free as their time ended
			t.Errorf("%d calls, want 4 at most", n)
		}
		a.answers(says(200, active))
		a.wantReason(opaqueToken, "")
	})
	bubble("no more wait than there is room for", t, func(t *testing.T) {
		a := newAsked(t, slowly(time.Hour, away), few)
		var wg sync.WaitGroup
		for i := range callsPerSlot * 2 {
			wg.Go(func() { a.judge(t.Context(), fmt.Sprint(opaqueToken, i)) })
		}
		synctest.Wait()
		a.wantReason(opaqueToken, exchange.IntrospectionUnavailable)
		if took := time.Since(a.began); took != 0 {
			t.Errorf("one more took %v, want it refused at once", took)
		}
		wg.Wait()
	})
}

// The limit is of calls that this side has under way: whoever leaves ends none,
// and none begins before another's answer is read and closed, or its time is over.
func TestNoMoreCallsAreUnderWayThanMayBe(t *testing.T) {
	const most = 4
	synctest.Test(t, func(t *testing.T) {
		var now, seen atomic.Int32
		answer := slowly(50*time.Millisecond, says(200, active))
		a := newAsked(t, func(r *http.Request) (*http.Response, error) {
			if n := now.Add(1); n > seen.Load() {
				seen.Store(n)
			}
			resp, err := answer(r)
			if err != nil {
				now.Add(-1)
				return nil, err
			}
			resp.Body = &closing{resp.Body, func() { now.Add(-1) }}
			return resp, nil
		}, func(c *AuthnConfig) { c.Issuers[0].Introspection.MaxConcurrent = most })
		var wg sync.WaitGroup
		for i := range 400 {
			ctx, leave := context.WithTimeout(t.Context(), time.Duration(1+i%70)*time.Millisecond)
			wg.Go(func() {
				defer leave()
				a.judge(ctx, fmt.Sprint(opaqueToken, i))
			})
			if i%8 == 7 {
				time.Sleep(20 * time.Millisecond)
			}
		}
		wg.Wait()
		synctest.Wait()
		if seen.Load() != most {
			t.Errorf("%d calls were under way at once, want %d", seen.Load(), most)
		}
		time.Sleep(time.Minute)
		if n := now.Load(); n != 0 {
			t.Errorf("%d calls are left, want none", n)
		}
	})
}

// closing tells when it is closed.
type closing struct {
	io.ReadCloser
	closed func()
}

func (c *closing) Close() error {
	c.closed()
	return c.ReadCloser.Close()
}

func TestAnIssuerThatFailsNowAndThenDoesNotFillTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAsked(t, away, nil)
		for i := range 100 {
			if a.answers(away); i%2 == 1 {
				a.answers(says(200, active))
			}
			a.judge(t.Context(), fmt.Sprint(opaqueToken, i))
			time.Sleep(25 * time.Millisecond)
		}
		if n := len(a.events); n != 5 { // in 2.5s: it fails, and after a second each it answers and fails at once
			t.Errorf("%d events: %v, want 5", n, a.events)
		}
	})
	bubble("but each failure that follows a success is told", t, func(t *testing.T) {
		a := newAsked(t, says(200, active), nil)
		a.wantReason(opaqueToken, "")
		a.answers(away)
		a.wantReason(opaqueToken+"x", exchange.IntrospectionUnavailable)
		a.wantEvents("introspection opaque:  -> answering: ", "introspection opaque: answering -> failing: connection refused")
		a.answers(says(200, active))
		a.wantReason(opaqueToken+"x", "")
		if a.by.Failing() {
			t.Error("Failing() = true after a success that is too soon to be told, want false")
		}
	})
}

func TestAShadowKeepsNoRequestWaitingForAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAsked(t, slowly(time.Second, says(200, active)), func(c *AuthnConfig) { c.Mode = exchange.ModeShadow })
		a.wantReason(opaqueToken, exchange.IntrospectionUnavailable)
		if took := time.Since(a.began); took != 0 {
			t.Errorf("the request took %v, want none", took)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		a.wantReason(opaqueToken, "") // it is asked about all the same
	})
}

func TestTheClientsSecretMustBeThere(t *testing.T) {
	for name, fs := range map[string]files{
		"introspection.clientSecretFile: open client: file does not exist": {},
		"introspection.clientSecretFile: holds no secret":                  {"client": "\n"},
	} {
		c := AuthnConfig{Issuers: []IssuerConfig{{Issuer: "a", Introspection: &IntrospectionConfig{ClientSecretFile: "client"}}}}
		if _, err := NewAuthn("users", c, fs.read, nil); err == nil || err.Error() != "issuers[0]."+name {
			t.Errorf("NewAuthn() = %v, want issuers[0].%s", err, name)
		}
	}
}

func TestIntrospectionConfig(t *testing.T) {
	good := func() IntrospectionConfig {
		var c IntrospectionConfig
		c.SetDefaults()
		c.URL, c.ClientID, c.ClientSecretFile = "https://id.example.com/introspect", "orders", "f"
		return c
	}
	tests := []struct {
		name string
		with func(c *IntrospectionConfig)
		want []string
	}{
		{"the defaults", func(*IntrospectionConfig) {}, nil},
		{"no cache", func(c *IntrospectionConfig) { c.CacheFor = 0 }, nil},
		{"in the clear", func(c *IntrospectionConfig) { c.URL = "http://id.example.com" }, []string{`url: must be an https URL, or an http one to this machine, got "http://id.example.com"`}},
		{"nothing", func(c *IntrospectionConfig) { *c = IntrospectionConfig{} }, []string{
			`url: must be an https URL, or an http one to this machine, got ""`, "clientID: must say who asks",
			"clientSecretFile: must name the file with the client's secret",
			"timeout: must be 50ms to 30s, got 0s", "maxConcurrent: must be 1 to 1024, got 0",
		}},
		{"too long", func(c *IntrospectionConfig) { c.CacheFor = time.Hour }, []string{"cacheFor: must be 0s to 10m0s, got 1h0m0s"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := good()
			tt.with(&c)
			var got []string
			c.Validate(func(field, problem string) { got = append(got, field+": "+problem) })
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Validate() (-want +got):\n%s", diff)
			}
		})
	}
}

// FuzzIntrospection: whatever an issuer says, nothing but a plain true lets a
// token pass, and what is forwarded of it stays in its field.
func FuzzIntrospection(f *testing.F) {
	var c AuthnConfig
	c.SetDefaults()
	c.ForwardClaims = map[string]string{"X-User": "sub", "X-Scope": "scope"}
	c.Issuers = []IssuerConfig{{Issuer: "opaque", Introspection: &IntrospectionConfig{ClientSecretFile: "client", MaxConcurrent: 1, Timeout: time.Minute}}}
	var says_ string
	a := must(NewAuthn("users", c, files{"client": clientSecret}.read, keeper{introspector: func(c IntrospectorConfig) *Introspector {
		return NewIntrospector(c, exchange.RoundTripFunc(func(r *http.Request) (*http.Response, error) { return says(200, says_)(r) }), func(exchange.Event) {})
	}}))
	for _, seed := range []string{active, `{"active":false}`, `{"active":true,"exp":1e999,"nbf":-1e999,"aud":[1]}`, `{"active":true,"active":false}`, `{"active":true}x`, `null`, `[`} {
		f.Add(seed)
	}
	n := 0
	f.Fuzz(func(t *testing.T, answer string) {
		says_ = answer
		n++
		r, record := request("/", fmt.Sprint("Bearer ", opaqueToken, n))
		err := a.Check(r)
		if (err == nil) != (record.Principal() != nil) {
			t.Errorf("Check() = %v, principal %v", err, record.Principal())
		}
		if err == nil && (!strings.Contains(answer, "active") && !strings.Contains(answer, `\u`) || !strings.Contains(answer, "true")) {
			t.Errorf("%q lets a token pass", answer)
		}
		for _, field := range record.Forwards() {
			if strings.ContainsAny(field.Value, "\r\n\x00") {
				t.Errorf("%s = %q, want no control characters", field.Name, field.Value)
			}
		}
	})
}
