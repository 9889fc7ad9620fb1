package proxy

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"sidecar/internal/exchange"
)

// two returns minimal with a second endpoint, OTHER, under what keys say.
func two(other, keys, use string) string {
	return `
version: v1
upstreams:
  app:
    endpoints: [{url: "${UPSTREAM}"}, {url: "` + other + `"}]
    ` + keys + `
routes: [{name: all, upstream: app, use: {` + use + `}}]
`
}

func TestARetryGoesToAnotherEndpoint(t *testing.T) {
	for _, balance := range []string{"roundRobin", "leastRequest"} {
		t.Run(balance, func(t *testing.T) {
			var sick atomic.Int32
			bad := service(t, func(w http.ResponseWriter, _ *http.Request) {
				sick.Add(1)
				w.WriteHeader(http.StatusServiceUnavailable)
			})
			good := service(t, func(http.ResponseWriter, *http.Request) {})
			p, saw := apply(t, two(good, "retryBudget: {percent: 100}\n    balance: "+balance, "circuitBreaker: none, retry: {maxAttempts: 2, backoff: {base: 1ms}}"), bad)
			url := listen(t, p)
			for range 20 {
				resp, _ := get(t, url)
				if end := saw.next(t); resp.StatusCode != http.StatusOK {
					t.Fatalf("status %d, want 200 from the other endpoint: %+v", resp.StatusCode, end)
				}
			}
			if sick.Load() == 0 {
				t.Error("the sick endpoint was never called: this test shows nothing")
			}
		})
	}
}

func TestAnEndpointThatIsDownIsEjected(t *testing.T) {
	good := service(t, func(http.ResponseWriter, *http.Request) {})
	p, saw := apply(t, two(good, "outlier: {consecutiveFailures: 3}", "circuitBreaker: none, retry: {maxAttempts: 2, backoff: {base: 1ms}}"), "http://127.0.0.1:1")
	url := listen(t, p)
	for range 20 {
		if resp, _ := get(t, url); resp.StatusCode != http.StatusOK {
			t.Fatalf("status %d, want 200", resp.StatusCode)
		}
		saw.next(t)
	}
	failed := 0
	saw.mu.Lock()
	defer saw.mu.Unlock()
	for _, a := range saw.attempts {
		if a.Endpoint == "127.0.0.1:1" {
			failed++
		}
	}
	if failed != 3 {
		t.Errorf("the endpoint that is down was called %d times, want 3", failed)
	}
	if up, _ := p.Snapshot().Upstream("app"); up.Status().Endpoints[0].State != "ejected" {
		t.Errorf("states = %+v, want the first ejected", up.Status().Endpoints)
	}
}

func TestADrainOutlivesAReload(t *testing.T) {
	const other = "http://127.0.0.1:2"
	p, _ := apply(t, two(other, "", ""), "http://127.0.0.1:1")
	state := func() string {
		up, ok := p.Snapshot().Upstream("app")
		if !ok {
			t.Fatal("there is no upstream app")
		}
		return up.Status().Endpoints[1].State
	}
	up, _ := p.Snapshot().Upstream("app")
	if err := up.Drain("127.0.0.1:2", true, exchange.Who{}); err != nil {
		t.Fatal(err)
	}
	reload := func(text string) {
		t.Helper()
		if err := p.Apply(parse(t, text, "http://127.0.0.1:1")); err != nil {
			t.Fatal(err)
		}
	}
	reload(strings.Replace(two(other, "", ""), "name: all", "timeout: 9s, name: all", 1))
	if got := state(); got != "draining" {
		t.Errorf("after a reload of something else it is %s, want draining", got)
	}
	reload(two(other, "balance: leastRequest", ""))
	if got := state(); got != "healthy" {
		t.Errorf("after a reload of the upstream it is %s, want healthy: it is another one", got)
	}
}

// Who tries a policy without its upstreams asks nobody.
func TestAnUpstreamThatSomethingStandsInForIsNotAsked(t *testing.T) {
	var asked atomic.Int32
	at := service(t, func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	p, _ := apply(t, two("http://127.0.0.1:2", "health: {path: /, interval: 100ms}", ""), at, func(o *Options) {
		o.Transport = exchange.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
			return exchange.NewResponse(r, http.StatusOK, "text/plain", nil, nil), nil
		})
	})
	get(t, listen(t, p))
	if up, _ := p.Snapshot().Upstream("app"); up.Status().Endpoints[0].ChecksPassed+up.Status().Endpoints[0].ChecksFailed != 0 || asked.Load() != 0 {
		t.Error("an endpoint was asked how it is, want nobody asked")
	}
}
