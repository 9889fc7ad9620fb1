package breaker

import (
	"net/http"
	"testing"
	"time"

	"sidecar/internal/exchange"
)

// What most calls are: the breaker is closed, and they succeed.
func TestACallThatPassesAllocatesNothing(t *testing.T) {
	for name, c := range map[string]Config{
		"plain":          config(),
		"slow calls too": config(func(c *Config) { c.Slow = &Slow{Over: time.Second, Percent: 80} }),
		"shadow":         config(func(c *Config) { c.Mode = exchange.ModeShadow }),
	} {
		b := newBench(t, c, 200)
		rt := b.breaker.Admit(b.breaker.Count(fixed(&http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody})))
		const runs = 100
		rs := make([]*http.Request, runs+1) // one to warm up
		for i := range rs {
			rs[i] = request(exchange.With(t.Context(), &exchange.Record{}))
		}
		if got := testing.AllocsPerRun(runs, func() {
			_, _ = rt.RoundTrip(rs[0])
			rs = rs[1:]
		}); got != 0 {
			t.Errorf("%s: a call allocates %v times, want none", name, got)
		}
	}
}
