package breaker

import (
	"net/http"
	"testing"
	"time"

	"sidecar/internal/exchange"
)

// BenchmarkBreaker is what the breaker costs a call, alone and beside twice as
// many others as there are processors.
func BenchmarkBreaker(b *testing.B) {
	quiet := func(exchange.Event) error { return nil }
	draw := func() float64 { return 0.5 }
	answers := fixed(&http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody})
	one := func(c Config) http.RoundTripper {
		br := New(c, NewState("standard@orders", c, draw, quiet), nil)
		return br.Admit(br.Count(answers))
	}
	opened := NewState("standard@orders", config(), draw, quiet)
	_ = opened.Force("open", ann)
	hosts := []string{"a:1", "b:1"}
	each := NewForEach(config(), NewEndpoints("standard@orders", config(), draw, quiet), func() []string { return hosts }, nil)

	for _, bb := range []struct {
		name string
		rt   http.RoundTripper
	}{
		{"admit-and-count", one(config())},
		{"slow", one(config(func(c *Config) { c.Slow = &Slow{Over: time.Second, Percent: 80} }))},
		{"endpoint", each.Admit(each.Count(exchange.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
			if p := exchange.PickerOf(r.Context()); p.Allows("a:1") && p.Pick("a:1") {
				return answers.RoundTrip(r)
			}
			return nil, http.ErrNotSupported
		})))},
		{"refuse", New(config(), opened, nil).Admit(answers)},
	} {
		b.Run(bb.name, func(b *testing.B) {
			r := request(exchange.With(b.Context(), sealed()))
			b.ReportAllocs()
			for b.Loop() {
				_, _ = bb.rt.RoundTrip(r)
			}
		})
		b.Run(bb.name+"-parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(2)
			b.RunParallel(func(pb *testing.PB) {
				r := request(exchange.With(b.Context(), sealed()))
				for pb.Next() {
					_, _ = bb.rt.RoundTrip(r)
				}
			})
		})
	}
}

// sealed returns a record that keeps nothing, however often the same call is
// made.
func sealed() *exchange.Record {
	r := &exchange.Record{}
	r.Seal()
	return r
}
