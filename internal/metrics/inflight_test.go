package metrics

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"sidecar/internal/exchange"
)

// A scrape in the middle sees no request out that it has not seen in.
func TestNoScrapeSeesFewerThanNoneInFlight(t *testing.T) {
	m := New(BuildInfo{})
	m.Routes([]string{"orders"})
	var over atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; !over.Load(); i++ {
			r := &exchange.Record{Route: "orders", Method: http.MethodGet, Status: 429}
			ctx := m.Begin(context.Background(), r)
			if i%2 == 0 {
				r.Note(exchange.Decision{Kind: exchange.RateLimit, Policy: "p", Outcome: exchange.Refuse, Reason: exchange.RateLimited})
			}
			m.End(ctx, r)
		}
	}()
	for range 300 {
		for _, s := range scrape(t, m, "http_requests_in_flight") {
			if strings.Contains(s, "} -") {
				t.Errorf("a scrape says %s", s)
			}
		}
		if t.Failed() {
			break
		}
	}
	over.Store(true)
	<-done
}

// A request may outlive its route, also one that comes back meanwhile.
func TestARequestIsCountedOutWhereItWasCountedIn(t *testing.T) {
	m := New(BuildInfo{})
	old, other := []string{"old"}, []string{"other"}
	for _, reloads := range [][][]string{{other}, {other, old}, {other, other, old}, {other, old, other}} {
		m.Routes(old)
		r := &exchange.Record{Route: "old", Method: http.MethodGet, Status: 200}
		ctx := m.Begin(context.Background(), r)
		for _, names := range reloads {
			m.Routes(names)
			if got := nonzero(scrape(t, m, "http_requests_in_flight")); !slices.Equal(got, []string{`http_requests_in_flight{route="old"} 1`}) {
				t.Errorf("while it is in flight, after %v: %q", reloads, got)
			}
		}
		m.End(ctx, r)
		m.Routes(old)
		if got := nonzero(scrape(t, m, "http_requests_in_flight")); len(got) > 0 {
			t.Errorf("when it is over, after %v: %q", reloads, got)
		}
	}
}
