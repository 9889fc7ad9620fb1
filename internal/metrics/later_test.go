package metrics

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"sidecar/internal/exchange"
)

func TestWhatIsCountedLaterIsInTheNextScrape(t *testing.T) {
	for _, n := range []int{1, batchSize - 1, batchSize, batchSize + 1, 3*batchSize + 5} {
		m := New(BuildInfo{})
		m.Routes([]string{"orders"})
		r := &exchange.Record{Route: "orders", Method: http.MethodPut, Status: 204, Took: 30 * time.Millisecond}
		for range n {
			ctx := m.Begin(context.Background(), r)
			send(m, r, exchange.Attempt{Upstream: "orders", Status: 204, Took: 20 * time.Millisecond})
			m.End(ctx, r)
		}
		m.Begin(context.Background(), r)
		got := scrape(t, m)
		for _, want := range []string{
			fmt.Sprintf(`http_requests_total{code="204",method="PUT",route="orders"} %d`, n),
			fmt.Sprintf(`http_request_duration_seconds_bucket{method="PUT",route="orders",le="0.05"} %d`, n),
			fmt.Sprintf(`upstream_requests_total{code="204",route="orders",upstream="orders"} %d`, n),
			fmt.Sprintf(`upstream_request_duration_seconds_count{route="orders",upstream="orders"} %d`, n),
			`http_requests_in_flight{route="orders"} 1`,
		} {
			if !slices.Contains(got, want) {
				t.Errorf("after %d requests there is no %s", n, want)
			}
		}
	}
}

// One that is just held, perhaps by a goroutine that does not run, is no reason
// to wait.
func TestNobodyWaitsToBeCounted(t *testing.T) {
	m := New(BuildInfo{})
	r := &exchange.Record{Route: "orders", Method: http.MethodGet, Status: 200}
	m.later.begun.mu.Lock()
	m.later.attempted.mu.Lock()
	m.later.ended.mu.Lock()
	ctx := m.Begin(context.Background(), r)
	send(m, r, exchange.Attempt{Upstream: "orders", Status: 200})
	m.End(ctx, r)
	m.later.begun.mu.Unlock()
	m.later.attempted.mu.Unlock()
	m.later.ended.mu.Unlock()
	got := nonzero(scrape(t, m, "http_requests_total", "upstream_requests_total", "http_requests_in_flight"))
	want := []string{
		`http_requests_total{code="200",method="GET",route="orders"} 1`,
		`upstream_requests_total{code="200",route="orders",upstream="orders"} 1`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("series = %q, want %q", got, want)
	}
}

// What a route has seen last does not bring it back when it is gone.
func TestARouteThatIsGoneStaysAway(t *testing.T) {
	m := New(BuildInfo{})
	m.Routes([]string{"old"})
	r := &exchange.Record{Route: "old", Method: http.MethodGet, Status: 200}
	m.End(m.Begin(context.Background(), r), r)
	m.Routes([]string{"new"})
	for _, series := range scrape(t, m, "http_requests_total", "http_requests_in_flight") {
		if strings.Contains(series, `route="old"`) {
			t.Errorf("there is still %s", series)
		}
	}
}
