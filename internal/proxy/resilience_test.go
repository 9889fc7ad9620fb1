package proxy

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sidecar/internal/authz"
	"sidecar/internal/exchange"
	"sidecar/internal/faults"
)

// counted is an upstream that is well, and how often it was called.
func counted(t testing.TB) (string, *atomic.Int64) {
	var calls atomic.Int64
	return service(t, func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		_, _ = io.WriteString(w, "well")
	}), &calls
}

// The headline: a drill exercises the user's own retries.
func TestOurFaultsAreAbsorbedByOurRetries(t *testing.T) {
	up, calls := counted(t)
	p, saw := apply(t, `
version: v1
upstreams: {app: {endpoints: [{url: "${UPSTREAM}"}], retryBudget: {percent: 1000, minPerSecond: 1000}}}
policies:
  retry: {patient: {maxAttempts: 10, backoff: {base: 0s, max: 0s}}}
  circuitBreaker: {calm: {failurePercent: 100}}
  fault: {chaos: {enabled: true, percent: 50, abort: {status: 503}}}
routes: [{name: all, upstream: app, use: {retry: patient, circuitBreaker: calm, fault: chaos}}]
`, up)
	url := listen(t, p)
	const requests = 40
	injected := 0
	for i := range requests {
		// The id fixes the draw: the same attempts fail on every run.
		r, _ := http.NewRequest("GET", url, nil)
		r.Header.Set("X-Request-Id", fmt.Sprint("request-", i))
		resp, err := client(t).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		text := body(t, resp)
		if resp.StatusCode != 200 || text != "well" {
			t.Fatalf("request %d: %d %q, want the faults absorbed", i, resp.StatusCode, text)
		}
		for _, d := range saw.next(t).Decisions {
			if d.Reason == exchange.FaultAbort {
				injected++
			}
		}
	}
	if injected < requests/4 {
		t.Errorf("%d faults in %d requests, want about one for each", injected, requests)
	}
	if calls.Load() != requests {
		t.Errorf("the upstream is called %d times, want %d: a fault stands in its place", calls.Load(), requests)
	}
}

// And the user's own breaker.
func TestOurFaultsOpenOurBreaker(t *testing.T) {
	up, calls := counted(t)
	p, saw := apply(t, `
version: v1
upstreams: {app: {endpoints: [{url: "${UPSTREAM}"}]}}
policies:
  retry: {twice: {maxAttempts: 2, backoff: {base: 0s, max: 0s}}}
  circuitBreaker: {quick: {consecutiveFailures: 5, openFor: {base: 30s, jitterPercent: 0}}}
  fault: {chaos: {enabled: true, abort: {connection: reset}}}
routes: [{name: all, upstream: app, use: {retry: twice, circuitBreaker: quick, fault: chaos}}]
`, up)
	url := listen(t, p)
	for i := range 2 { // two attempts each
		resp, _ := get(t, url)
		if resp.StatusCode != 502 || resp.Header.Get(faults.Header) != "chaos" {
			t.Fatalf("request %d: %d, %s %q, want 502 and who did it", i, resp.StatusCode, faults.Header, resp.Header.Get(faults.Header))
		}
		saw.next(t)
	}
	// Its first attempt is the fifth failure; there is no second.
	get(t, url)
	if e := saw.next(t); e.Attempts != 1 || e.Reason != exchange.BreakerOpen {
		t.Errorf("%d attempts, reason %q, want one: the open breaker ends the retries", e.Attempts, e.Reason)
	}
	resp, _ := get(t, url)
	e := saw.next(t)
	if resp.StatusCode != 503 || e.Reason != exchange.BreakerOpen || e.Attempts != 0 || resp.Header.Get("Retry-After") != "30" {
		t.Errorf("status %d, reason %q, %d attempts, Retry-After %q, want 503 breaker_open, none, 30",
			resp.StatusCode, e.Reason, e.Attempts, resp.Header.Get("Retry-After"))
	}
	if got := saw.transitions(); len(got) != 1 || got[0] != "quick@app: closed -> open" {
		t.Errorf("events = %v, want one opening", got)
	}
	if calls.Load() != 0 {
		t.Errorf("the upstream is called %d times, want never", calls.Load())
	}
}

func TestAFallbackReplacesOnlyTheBreakersOwnRefusals(t *testing.T) {
	up := service(t, failing)
	p, saw := apply(t, with("circuitBreaker: quick, retry: {maxAttempts: 1}",
		`circuitBreaker: {quick: {consecutiveFailures: 1, fallback: {status: 200, contentType: application/json, body: '{"degraded":true}'}}}`), up)
	url := listen(t, p)
	if resp, _ := get(t, url+"/fail"); resp.StatusCode != 500 {
		t.Errorf("the upstream's own failure: %d, want its 500 untouched", resp.StatusCode)
	}
	saw.next(t)
	resp, text := get(t, url+"/well")
	if resp.StatusCode != 200 || text != `{"degraded":true}` || resp.Header.Get("Content-Type") != "application/json" {
		t.Errorf("while open: %d %q, want the fallback", resp.StatusCode, text)
	}
	if _, ok := saw.next(t).noted(exchange.FallbackServed); !ok {
		t.Error("the fallback is not noted")
	}
}

func TestRoutesThatUseALimiterShareItsBuckets(t *testing.T) {
	up, _ := counted(t)
	p, _ := apply(t, `
version: v1
upstreams: {app: {endpoints: [{url: "${UPSTREAM}"}]}}
policies: {rateLimit: {two: {rate: 2/h}, one: {rate: 1/h}}}
routes:
  - {name: a, match: {path: /a}, upstream: app, use: {rateLimit: two}}
  - {name: b, match: {path: /b}, upstream: app, use: {rateLimit: two}}
  - {name: c, match: {path: /c}, upstream: app, use: {rateLimit: [two, one]}}
`, up)
	url := listen(t, p)
	var got []int
	for _, path := range []string{"/c", "/c", "/a", "/b"} {
		// The second /c is refused by one, and must not have spent two's last.
		resp, _ := get(t, url+path)
		got = append(got, resp.StatusCode)
		if resp.Header.Get("RateLimit-Policy") == "" || resp.Header.Get("RateLimit") == "" {
			t.Errorf("%s: no RateLimit fields in %v", path, resp.Header)
		}
	}
	if want := []int{200, 429, 200, 429}; !slices.Equal(got, want) {
		t.Errorf("statuses = %v, want %v", got, want)
	}
}

func TestWhoCallsIsOursAloneToTell(t *testing.T) {
	up := service(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "user=%q token=%v", slices.Concat(r.Header["X-User"], r.Header["X_user"]), r.Header.Get("Authorization") != "")
	})
	p, saw := apply(t, `
version: v1
upstreams: {app: {endpoints: [{url: "${UPSTREAM}"}]}}
policies:
  authn: {users: {issuers: [{issuer: me, secretFile: testdata/secret}], forwardClaims: {X-User: subject}, forwardToken: false}}
routes:
  - {name: open, match: {path: /open}, upstream: app}
  - {name: all, upstream: app, use: {authn: users}}
`, up)
	url := listen(t, p)
	token, err := authz.Sign([]byte("0123456789abcdef0123456789abcdef"), authz.Token{Subject: "alice", Issuer: "me", TTL: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, path, header, want string }{
		{"the claim", "/", "Authorization: Bearer " + token, `user=["alice"] token=false`},
		{"not the client's word", "/", "X-User: root\nX_User: root\nAuthorization: Bearer " + token, `user=["alice"] token=false`},
		{"not dropped by Connection", "/", "Connection: X-User\nAuthorization: Bearer " + token, `user=["alice"] token=false`},
		{"nobody, on a route that does not ask", "/open", "X-User: root\nX_User: root", `user=[] token=false`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := dial(t, url)
			c.say("GET " + tt.path + " HTTP/1.1\nHost: h\n" + tt.header + "\n\n")
			if got := body(t, c.answer(t, "GET")); got != tt.want {
				t.Errorf("the upstream sees %s, want %s", got, tt.want)
			}
			if e := saw.next(t); tt.path == "/" && e.Principal.Subject != "alice" {
				t.Errorf("principal = %+v, want alice", e.Principal)
			}
		})
	}
}

func TestARefusalSaysWhichPolicyAndWhichLine(t *testing.T) {
	up, calls := counted(t)
	p, saw := apply(t, `
version: v1
upstreams: {app: {endpoints: [{url: "${UPSTREAM}"}]}}
policies:
  authz:
    rules:
      rules:
        - {name: no-posts, effect: deny, when: {methods: [POST]}}
        - {name: rest, effect: allow}
routes: [{name: all, upstream: app, use: {authz: rules}}]
`, up)
	resp, err := client(t).Post(listen(t, p), "text/plain", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	text := body(t, resp)
	d, ok := saw.next(t).noted(exchange.RuleDenied)
	if resp.StatusCode != 403 || !ok || d.Kind != "authz" || d.Policy != "rules" || d.Line != 8 || !strings.Contains(d.Detail, "no-posts") {
		t.Errorf("status %d, decision %+v, want 403 by authz/rules, rule no-posts at line 8", resp.StatusCode, d)
	}
	if !strings.Contains(text, `"policy":"authz/rules"`) || strings.Contains(text, "no-posts") {
		t.Errorf("the client is told %s, want the policy and not the rule", text)
	}
	if calls.Load() != 0 {
		t.Error("the upstream is called for a refused request")
	}
}

func TestRawPathsMustBeAllowedInBothReadings(t *testing.T) {
	up, _ := counted(t)
	p, _ := apply(t, `
version: v1
server: {paths: raw}
upstreams: {app: {endpoints: [{url: "${UPSTREAM}"}]}}
policies:
  authz: {rules: {rules: [{name: public, effect: allow, when: {paths: ["/public/**"]}}]}}
routes: [{name: all, upstream: app, use: {authz: rules}}]
`, up)
	url := listen(t, p)
	for target, want := range map[string]int{
		"/public/a":        200,
		"http://h":         403, // it is sent as /, and so it is read
		"mailto:foo":       400,
		"/public/a%20b":    200,
		"/public%2fa":      403, // read raw it is one segment
		"/pub%6cic/secret": 403, // read raw it is elsewhere
	} {
		c := dial(t, url)
		c.say("GET " + target + " HTTP/1.1\nHost: h\n\n")
		if resp := c.answer(t, "GET"); resp.StatusCode != want {
			t.Errorf("%s: %d, want %d", target, resp.StatusCode, want)
		}
	}
}

func TestADrainingProxySendsClientsElsewhere(t *testing.T) {
	up, _ := counted(t)
	p, _ := apply(t, minimal, up)
	url := listen(t, p)
	if resp, _ := get(t, url); resp.Close {
		t.Error("Connection: close before the drain")
	}
	p.Drain()
	if resp, _ := get(t, url); !resp.Close || resp.StatusCode != 200 {
		t.Errorf("while draining: %d, close %v, want 200 and Connection: close", resp.StatusCode, resp.Close)
	}
	resp, err := h2cClient(t).Get(url)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("HTTP/2 while draining: %v, %v, want 200", resp, err)
	}
	resp.Body.Close()
}

// Clients learn of a limit also from an answer that came before it was asked.
func TestEveryAnswerOfALimitedRouteTellsTheLimit(t *testing.T) {
	p, _ := apply(t, with("validation: v, authn: users, rateLimit: [one, quiet]",
		"validation: {v: {methods: [GET]}}",
		strings.ReplaceAll(users, "MODE", "enforce"),
		"rateLimit: {one: {rate: 1/h}, quiet: {mode: shadow, rate: 1/h}}"), "http://127.0.0.1:1")
	for method, status := range map[string]int{"GET": 401, "POST": 405} {
		w := httptest.NewRecorder()
		p.ServeHTTP(w, httptest.NewRequest(method, "/", nil))
		policies := w.Header()["Ratelimit-Policy"]
		if w.Code != status || len(policies) != 1 || !strings.HasPrefix(policies[0], `"one"`) || w.Header().Get("RateLimit") != "" {
			t.Errorf("%s: status %d with %v, want %d with the policy of one, and no bucket", method, w.Code, w.Header(), status)
		}
	}
}
