package concurrency

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"sidecar/internal/exchange"
)

// BenchmarkPass is what a request pays that finds a place: the layer alone, with
// nothing behind it. The record takes no decisions, as it is not the layer's.
func BenchmarkPass(b *testing.B) {
	for _, algorithm := range []string{Static, Gradient} {
		c := config(func(c *Config) { c.Algorithm, c.Max = algorithm, 1000 })
		newRequest := func() *http.Request {
			rec := &exchange.Record{}
			rec.Seal() // or its decisions would grow without end
			r := httptest.NewRequest("GET", "/", nil)
			return r.WithContext(exchange.With(b.Context(), rec))
		}
		state := NewState("small@orders", c)
		resp := &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody}
		rt := New(c, state, func() float64 { return 0 }).Wrap(exchange.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
			return resp, nil
		}))
		b.Run(algorithm+"/alone", func(b *testing.B) {
			r := newRequest()
			b.ReportAllocs()
			for b.Loop() {
				_, _ = rt.RoundTrip(r)
			}
		})
		b.Run(algorithm+"/parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(2)
			b.RunParallel(func(pb *testing.PB) {
				r := newRequest()
				for pb.Next() {
					_, _ = rt.RoundTrip(r)
				}
			})
		})
	}
}

// BenchmarkSample is what a gradient costs beside that: each call is measured.
func BenchmarkSample(b *testing.B) {
	state := NewState("adaptive@orders", config(func(c *Config) { c.Algorithm, c.Max = Gradient, 1000 }))
	pass := func() {
		n, ok := state.enter()
		if !ok {
			b.Error("there is no place")
		}
		state.answered(call{start: time.Now(), n: n}, served)
		state.leave()
	}
	b.Run("alone", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			pass()
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.SetParallelism(2)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				pass()
			}
		})
	})
}
