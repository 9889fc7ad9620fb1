//go:build !race

package metrics

import (
	"net/http"
	"testing"
	"time"

	"sidecar/internal/exchange"
)

func served() *exchange.Record {
	r := &exchange.Record{Route: "orders", Method: http.MethodGet, Status: 200, Took: 12 * time.Millisecond}
	r.Note(exchange.Decision{Kind: exchange.Authz, Policy: "rbac", Outcome: exchange.Pass})
	r.Note(exchange.Decision{Kind: exchange.RateLimit, Policy: "per-tenant", Outcome: exchange.Pass})
	return r
}

func TestEndAllocatesNothing(t *testing.T) {
	m, r := New(BuildInfo{}), served()
	if got := testing.AllocsPerRun(100, func() { m.End(t.Context(), r) }); got != 0 {
		t.Errorf("End allocates %v times, want none", got)
	}
}

func BenchmarkEnd(b *testing.B) {
	m, r := New(BuildInfo{}), served()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			m.End(b.Context(), r)
		}
	})
}
