package proxy

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"sidecar/internal/authz"
	"sidecar/internal/exchange"
	"sidecar/internal/faults"
)

const users = "authn: {users: {mode: MODE, issuers: [{issuer: me, secretFile: testdata/secret}], forwardClaims: {X-User: subject}}}"

func TestAShadowSaysWhatItWouldDoAndDoesNothing(t *testing.T) {
	up := service(t, failing)
	tests := []struct {
		name, policy, path string
		enforced           int // status of the second request
		shadowed           int
		reason             exchange.Reason
	}{
		{"validation", with("validation: v", "validation: {v: {mode: MODE, methods: [POST]}}"), "/", 405, 200, exchange.MethodNotAllowed},
		{"authn", with("authn: users", users), "/", 401, 200, exchange.TokenMissing},
		{"authz", with("authz: nobody", "authz: {nobody: {mode: MODE}}"), "/", 403, 200, exchange.NoAllowRule},
		{"rateLimit", with("rateLimit: one", "rateLimit: {one: {mode: MODE, rate: 1/h}}"), "/", 429, 200, exchange.RateLimited},
		{
			"circuitBreaker",
			with("circuitBreaker: quick, retry: none", "circuitBreaker: {quick: {mode: MODE, consecutiveFailures: 1}}"),
			"/fail", 503, 500, exchange.BreakerOpen,
		},
		{
			"retry",
			with("retry: all, circuitBreaker: none", `retry: {all: {mode: MODE, maxAttempts: 2, retryOn: ["500"], backoff: {base: 0s, max: 0s}}}`),
			"/fail", 500, 500, "500",
		},
		{
			"fault",
			with("fault: chaos, retry: none", "fault: {chaos: {mode: MODE, enabled: true, abort: {status: 418}}}"),
			"/", 418, 200, exchange.FaultAbort,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for mode, want := range map[string]int{"enforce": tt.enforced, "shadow": tt.shadowed} {
				p, saw := apply(t, strings.ReplaceAll(tt.policy, "MODE", mode), up)
				url := listen(t, p)
				var resp *http.Response
				var e ending
				for range 2 { // a limit and a breaker let the first by
					resp, _ = get(t, url+tt.path)
					e = saw.next(t)
				}
				if resp.StatusCode != want {
					t.Errorf("%s: status %d, want %d", mode, resp.StatusCode, want)
				}
				d, ok := e.noted(tt.reason)
				if outcome := d.Outcome == exchange.Shadow; !ok || outcome != (mode == "shadow") {
					t.Errorf("%s: decision %+v, want reason %s, and outcome shadow in shadow only", mode, d, tt.reason)
				}
				if mode == "shadow" {
					if e.Reason != "" || e.Attempts != 1 || resp.Header.Get("Proxy-Status")+resp.Header.Get("RateLimit")+resp.Header.Get(faults.Header) != "" {
						t.Errorf("shadow: reason %q, %d attempts, header %v, want nothing done and nothing told", e.Reason, e.Attempts, resp.Header)
					}
				}
			}
		})
	}
}

func TestADisabledPolicyIsNotAsked(t *testing.T) {
	up := service(t, failing)
	p, saw := apply(t, with("authz: nobody, rateLimit: one, fault: chaos, retry: never",
		"authz: {nobody: {mode: disabled}}", "rateLimit: {one: {mode: disabled, rate: 1/h}}",
		"fault: {chaos: {mode: disabled, enabled: true, abort: {status: 418}}}", "retry: {never: {mode: disabled}}"), up)
	want := "validation/default circuitBreaker/default@app circuitBreaker/default@app attempt upstream/app"
	if got := strings.Join(chain(p), " "); got != want {
		t.Errorf("chain = %s, want %s", got, want)
	}
	url := listen(t, p)
	for range 2 {
		if resp, _ := get(t, url); resp.StatusCode != 200 {
			t.Errorf("status %d, want 200", resp.StatusCode)
		}
		saw.next(t)
	}
}

func TestAShadowAuthnNamesOnlyWhoIsProven(t *testing.T) {
	up := service(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Header.Get("X-User")) })
	p, saw := apply(t, strings.ReplaceAll(with("authn: users", users), "MODE", "shadow"), up)
	url := listen(t, p)
	good, err := authz.Sign([]byte("0123456789abcdef0123456789abcdef"), authz.Token{Subject: "alice", Issuer: "me", TTL: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	forged, err := authz.Sign([]byte("another secret, as long as it must be"), authz.Token{Subject: "root", Issuer: "me", TTL: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	for token, want := range map[string]string{good: "alice", forged: ""} {
		r, _ := http.NewRequest("GET", url, nil)
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("X-User", "root")
		resp, err := client(t).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		e := saw.next(t)
		if got := body(t, resp); resp.StatusCode != 200 || got != want || (e.Principal != nil) != (want != "") {
			t.Errorf("status %d, the upstream sees %q, principal %v, want 200 and %q", resp.StatusCode, got, e.Principal, want)
		}
	}
}

// A limit in shadow neither spends what an enforced one has, nor is spent by
// what that refuses.
func TestAShadowLimitStandsApart(t *testing.T) {
	up := service(t, failing)
	p, saw := apply(t, with("rateLimit: [tight, wide]", "rateLimit: {tight: {mode: shadow, rate: 1/h}, wide: {rate: 2/h}}"), up)
	url := listen(t, p)
	for i, want := range []int{200, 200, 429} {
		resp, _ := get(t, url)
		e := saw.next(t)
		d, _ := e.noted(exchange.RateLimited)
		if resp.StatusCode != want || (i == 1) != (d.Policy == "tight" && d.Outcome == exchange.Shadow) {
			t.Errorf("request %d: %d, decision %+v, want %d, and tight's shadow on the second", i, resp.StatusCode, d, want)
		}
	}
}

// A validation in shadow does not bound a body whose length is not known, and
// says what it would have done.
func TestAShadowBoundsNoBody(t *testing.T) {
	up := service(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	p, saw := apply(t, with("validation: small", "validation: {small: {mode: shadow, maxBody: 4B}}"), up)
	resp, err := client(t).Post(listen(t, p), "text/plain", io.NopCloser(strings.NewReader("more than four")))
	if err != nil {
		t.Fatal(err)
	}
	if got := body(t, resp); resp.StatusCode != 200 || got != "more than four" {
		t.Errorf("status %d, body %q, want all of it", resp.StatusCode, got)
	}
	e := saw.next(t)
	if d, _ := e.noted(exchange.BodyTooLarge); d.Outcome != exchange.Shadow || d.Policy != "small" || e.Reason != "" {
		t.Errorf("decisions %v, reason %q, want a shadow of body_too_large", e.Decisions, e.Reason)
	}
}
