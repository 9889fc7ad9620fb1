//go:build !race

package metrics

import (
	"context"
	"net/http"
	"testing"
	"time"

	"sidecar/internal/exchange"
)

// usual returns the record of a request that every policy let pass.
func usual() (*exchange.Record, *exchange.Attempt) {
	r := &exchange.Record{Route: "orders", Method: http.MethodGet, Status: 200, Took: 12 * time.Millisecond}
	for _, d := range []exchange.Decision{
		{Kind: exchange.Validation, Policy: "sane"},
		{Kind: exchange.Authn, Policy: "users"},
		{Kind: exchange.Authz, Policy: "rbac", Rule: "readers"},
		{Kind: exchange.RateLimit, Policy: "per-tenant"},
		{Kind: exchange.RateLimit, Policy: "all"},
		{Kind: exchange.Concurrency, Policy: "limit@orders"},
		{Kind: exchange.CircuitBreaker, Policy: "standard@orders"},
	} {
		d.Outcome = exchange.Pass
		r.Note(d)
	}
	return r, &exchange.Attempt{Number: 1, Upstream: "orders", Status: 200, Took: 11 * time.Millisecond}
}

func observe(ctx context.Context, m *Metrics, r *exchange.Record, a *exchange.Attempt) {
	ctx = m.Begin(ctx, r)
	m.Attempted(m.Attempt(ctx, r, a), r, a)
	m.End(ctx, r)
}

func TestAnExchangeAllocatesNothing(t *testing.T) {
	m := New(BuildInfo{})
	r, a := usual()
	if got := testing.AllocsPerRun(100, func() { observe(t.Context(), m, r, a) }); got != 0 {
		t.Errorf("an exchange allocates %v times, want none", got)
	}
}

func BenchmarkObserve(b *testing.B) {
	m := New(BuildInfo{})
	r, a := usual()
	b.Run("one", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			observe(b.Context(), m, r, a)
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.SetParallelism(2)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				observe(b.Context(), m, r, a)
			}
		})
	})
}
