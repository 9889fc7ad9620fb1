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

	"sidecar/internal/exchange"
	"sidecar/internal/policy"
)

// standIn is a policy with an upstream, app, that is open from its first failure,
// and another one that stands in for it.
const standIn = `
version: v1
upstreams:
  app: {endpoints: [{url: "${UPSTREAM}"}]}
  backup: {endpoints: [{url: "BACKUP"}], retryBudget: {percent: 1000, minPerSecond: 1000}}
policies:
  circuitBreaker: {quick: {consecutiveFailures: 1, openFor: {base: 30s, jitterPercent: 0}, fallback: {upstream: backup MORE}}}
  retry: {twice: {maxAttempts: 2, retryOn: ["500", "409"], methods: [GET, POST], backoff: {base: 0s, max: 0s}}}
routes: [{name: all, upstream: app, timeout: 1s, use: {circuitBreaker: quick, retry: twice}}]
`

func standingIn(t *testing.T, app, backup, more string) (*Proxy, *seen) {
	t.Helper()
	return apply(t, strings.NewReplacer("BACKUP", backup, "MORE", more).Replace(standIn), app)
}

// opened returns what is answered when the breaker of app has opened.
func opened(t *testing.T, p *Proxy, saw *seen) string {
	t.Helper()
	b, ok := p.Snapshot().Breaker("quick@app")
	if !ok {
		t.Fatal("there is no breaker quick@app")
	}
	if err := b.Force("open", exchange.Who{}); err != nil {
		t.Fatal(err)
	}
	return listen(t, p)
}

func TestAnotherUpstreamStandsIn(t *testing.T) {
	app, calls := counted(t)
	var flaky atomic.Bool
	backup := service(t, func(w http.ResponseWriter, r *http.Request) {
		if flaky.CompareAndSwap(true, false) {
			w.WriteHeader(http.StatusConflict)
			return
		}
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "backup has %q, attempt %q", b, r.Header.Get(attemptHeader))
	})
	p, saw := standingIn(t, app, backup, "")
	url := opened(t, p, saw)
	for _, fails := range []bool{false, true} { // its own retries help it
		flaky.Store(fails)
		resp, err := client(t).Post(url, "text/plain", strings.NewReader("the body"))
		if err != nil {
			t.Fatal(err)
		}
		want := `backup has "the body", attempt ""`
		if fails {
			want = `backup has "the body", attempt "2"`
		}
		if got := body(t, resp); resp.StatusCode != 200 || got != want {
			t.Errorf("%d %s, want 200 %s", resp.StatusCode, got, want)
		}
		if got, want := resp.Header.Get("Proxy-Status"), `sidecar;next-hop="backup";received-status=200;details="fallback"`; got != want {
			t.Errorf("Proxy-Status %s, want %s", got, want)
		}
		e := saw.next(t)
		if d, ok := e.noted(exchange.FallbackUpstream); !ok || d.Policy != "quick@app" || d.Line != 7 || e.Upstream != "backup" || e.Reason != "" {
			t.Errorf("decision %+v, upstream %s, reason %q; want that of quick@app, backup, none", d, e.Upstream, e.Reason)
		}
	}
	for _, a := range saw.attempts {
		if a.Upstream != "backup" {
			t.Errorf("an attempt of upstream %s, want backup", a.Upstream)
		}
	}
	if calls.Load() != 0 {
		t.Errorf("the app is called %d times, want none", calls.Load())
	}
}

func TestWhatTheFallbackCannotDoEither(t *testing.T) {
	tests := []struct {
		name   string
		backup http.HandlerFunc
		more   string
		first  string // what is answered
		later  string // when its own breaker is open
		origin string // of that, in Proxy-Status
	}{
		{
			"its own failure, then its own refusal",
			func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(501) }, "",
			"501", "503", `sidecar;error=destination_unavailable;details="circuitBreaker/quick@backup breaker_open"`,
		},
		{
			"then a response of our own",
			func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(501) }, ", status: 207, body: later",
			"501", "207", `sidecar;error=destination_unavailable;details="circuitBreaker/quick@backup fallback"`,
		},
		{
			"its time is the route's",
			func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "",
			"504", "503", `sidecar;error=destination_unavailable;details="circuitBreaker/quick@backup breaker_open"`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			app, _ := counted(t)
			p, saw := standingIn(t, app, service(t, tt.backup), tt.more)
			url := opened(t, p, saw)
			for _, want := range []string{tt.first, tt.later} {
				start := time.Now()
				resp, _ := get(t, url)
				e := saw.next(t)
				if got := fmt.Sprint(resp.StatusCode); got != want || e.Upstream != "backup" || time.Since(start) > 10*time.Second {
					t.Errorf("%s of %s, want %s of backup", got, e.Upstream, want)
				}
				if want == tt.later && resp.Header.Get("Proxy-Status") != tt.origin {
					t.Errorf("Proxy-Status %s, want %s", resp.Header.Get("Proxy-Status"), tt.origin)
				}
			}
		})
	}
}

// A body of which the app has had a part is nobody else's; the failure before
// was the app's.
func TestABodyThatWasSentDoesNotGoToAnother(t *testing.T) {
	app := service(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusInternalServerError)
	})
	backup, calls := counted(t)
	for method, want := range map[string]int{"POST": 503, "GET": 200} {
		p, saw := standingIn(t, app, backup, "")
		r, _ := http.NewRequest(method, listen(t, p), nil)
		if method == "POST" {
			r, _ = http.NewRequest(method, r.URL.String(), strings.NewReader("body"))
		}
		resp, err := client(t).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		_, kept := saw.next(t).noted(exchange.BodyNotReplayable)
		if resp.StatusCode != want || kept != (method == "POST") {
			t.Errorf("%s: %d, told that its body is gone: %v, want %d", method, resp.StatusCode, kept, want)
		}
	}
	if calls.Load() != 1 {
		t.Errorf("the backup is called %d times, want once", calls.Load())
	}
}

func TestTheFallbacksLegIsShown(t *testing.T) {
	p, _ := standingIn(t, "http://127.0.0.1:1", "http://127.0.0.1:2", "")
	var got []string
	for _, s := range p.Snapshot().Fallback("all") {
		got = append(got, s.String())
	}
	want := []string{"circuitBreaker/quick@backup", "retry/twice", "circuitBreaker/quick@backup", "attempt", "upstream/backup"}
	if !slices.Equal(got, want) {
		t.Errorf("the fallback's leg is %v, want %v", got, want)
	}
	if got := p.Snapshot().Fallback("nowhere"); got != nil {
		t.Errorf("an unknown route has the leg %v", got)
	}
	// Each leg of a route that has a breaker of its own has one.
	p, _ = standingIn(t, "http://127.0.0.1:1", "http://127.0.0.1:2", "}, scope: route, slow: {")
	var names []string
	for _, b := range p.Snapshot().Breakers() {
		names = append(names, b.Name())
	}
	if want := []string{"quick@all", "quick@all/backup"}; !slices.Equal(names, want) {
		t.Errorf("breakers %v, want %v", names, want)
	}
}

// A probe is one call, whatever it comes to: what retry thinks of its answer
// does not count.
func TestAProbeIsOneCall(t *testing.T) {
	tests := []struct {
		name  string
		probe int
		want  string
	}{
		{"that fails", 500, "open"},
		{"that succeeds, for the breaker", 409, "half-open"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			status := 500
			calls := 0
			answers := func(r *http.Request) (*http.Response, error) {
				calls++
				return exchange.NewResponse(r, status, "", nil, nil), nil
			}
			text := with("circuitBreaker: quick, retry: many",
				"circuitBreaker: {quick: {consecutiveFailures: 3, openFor: {base: 10s, jitterPercent: 0}, halfOpen: {maxProbes: 10, successes: 3}}}",
				`retry: {many: {maxAttempts: 3, retryOn: ["500", "409"], backoff: {base: 0s, max: 0s}}}`)
			inBubble(t, text, answers, func(t *testing.T, p *Proxy, saw *seen) {
				ask := func() ending {
					t.Helper()
					serve(p, newConn(), httptest.NewRequest("GET", "/", nil))
					return saw.next(t)
				}
				if e := ask(); e.Attempts != 3 || calls != 3 {
					t.Fatalf("%d attempts, want 3 while it is closed", e.Attempts)
				}
				time.Sleep(10 * time.Second)
				status, calls = tt.probe, 0
				if e := ask(); e.Attempts != 1 || calls != 1 || e.Status != tt.probe {
					t.Errorf("a probe: %d attempts, status %d, want one, and its own %d", e.Attempts, e.Status, tt.probe)
				}
				if got := p.Snapshot().Breakers()[0].Status().State; got != tt.want {
					t.Errorf("then the breaker is %s, want %s", got, tt.want)
				}
			})
		})
	}
}

// The whole way: the balancer asks, a retry goes to the other endpoint, and a
// reload that adds one forgets nothing.
func TestEachEndpointHasABreaker(t *testing.T) {
	good, _ := counted(t)
	other, _ := counted(t)
	var bad atomic.Int64
	sick := service(t, func(w http.ResponseWriter, _ *http.Request) {
		bad.Add(1)
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	text := strings.ReplaceAll(`
version: v1
upstreams: {app: {endpoints: [{url: "SICK"}, {url: "${UPSTREAM}"}], retryBudget: {percent: 1000, minPerSecond: 1000}}}
policies:
  circuitBreaker: {quick: {scope: endpoint, consecutiveFailures: 2, openFor: {base: 30s, jitterPercent: 0}}}
  retry: {thrice: {maxAttempts: 3, backoff: {base: 0s, max: 0s}}}
routes: [{name: all, upstream: app, use: {circuitBreaker: quick, retry: thrice}}]
`, "SICK", sick)
	p, saw := apply(t, text, good)
	url := listen(t, p)
	for range 20 {
		if resp, text := get(t, url); resp.StatusCode != 200 || text != "well" {
			t.Fatalf("%d %q, want what the good one says", resp.StatusCode, text)
		}
		saw.next(t)
	}
	if bad.Load() != 2 {
		t.Errorf("the sick endpoint is called %d times, want 2: then its breaker is open", bad.Load())
	}
	host := strings.TrimPrefix(sick, "http://")
	if got, want := saw.transitions(), []string{"quick@app/" + host + ": closed -> open"}; !slices.Equal(got, want) {
		t.Errorf("events %v, want %v", got, want)
	}
	if err := p.Apply(parse(t, strings.Replace(text, "endpoints: [", `endpoints: [{url: "`+other+`"}, `, 1), good)); err != nil {
		t.Fatal(err)
	}
	b, ok := p.Snapshot().Breaker("quick@app/" + host)
	if !ok || b.Status().State != "open" || len(p.Snapshot().Breakers()) != 3 {
		t.Errorf("after a reload that adds an endpoint: %d breakers, want 3, and the open one open", len(p.Snapshot().Breakers()))
	}
	for _, b := range p.Snapshot().Breakers() {
		if err := b.Force("open", exchange.Who{}); err != nil {
			t.Fatal(err)
		}
	}
	resp, _ := get(t, url)
	if e := saw.next(t); resp.StatusCode != 503 || e.Reason != exchange.BreakerOpen || e.Attempts != 0 {
		t.Errorf("when all are open: %d %s after %d attempts, want 503 breaker_open after none", resp.StatusCode, e.Reason, e.Attempts)
	}
}

func TestAFallbackThatCannotBe(t *testing.T) {
	const text = `
version: v1
upstreams: {app: {endpoints: [{url: "http://h"}]}, backup: {endpoints: [{url: "http://h"}]}}
policies: {circuitBreaker: {b: {fallback: {upstream: TO}}, unused: {mode: disabled, fallback: {upstream: nobody}}}}
defaults: {use: {circuitBreaker: b}}
routes:
  - {name: one, match: {path: /1}, upstream: app}
  - {name: two, match: {path: /2}, upstream: backup, use: {circuitBreaker: {fallback: {upstream: elsewhere}}}}
`
	for to, want := range map[string][]string{
		"ap": {
			`policies.circuitBreaker.b.fallback.upstream: there is no upstream "ap"; did you mean "app"?`,
			`policies.circuitBreaker.unused.fallback.upstream: there is no upstream "nobody"`,
			`routes[two].use.circuitBreaker.fallback.upstream: there is no upstream "elsewhere"`,
		},
		"app": {
			`policies.circuitBreaker.unused.fallback.upstream: there is no upstream "nobody"`,
			`routes[one].upstream: must be another one than the fallback of circuitBreaker b, got "app"`,
			`routes[two].use.circuitBreaker.fallback.upstream: there is no upstream "elsewhere"`,
		},
	} {
		_, err := policy.Parse("test.yaml", []byte(strings.Replace(text, "TO", to, 1)), policy.Options{})
		for _, line := range want {
			if err == nil || !strings.Contains(err.Error(), line) {
				t.Errorf("fallback to %s: %v\nwant %s", to, err, line)
			}
		}
		if got := strings.Count(fmt.Sprint(err), "\n") + 1; got != len(want) {
			t.Errorf("fallback to %s: %d problems, want %d:\n%v", to, got, len(want), err)
		}
	}
}
