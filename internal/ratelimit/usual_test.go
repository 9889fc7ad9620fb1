package ratelimit

import (
	"net/http"
	"testing"

	"sidecar/internal/exchange"
)

// usualRequest returns a request of alice. Its record is sealed, or it would
// grow with every round.
func usualRequest() *http.Request {
	r, _ := request(func(_ *http.Request, record *exchange.Record) {
		record.Identify(&exchange.Principal{Subject: "alice", Issuer: "https://id.example.com/"})
		record.Seal()
	})
	return r
}

// endless returns a limit that no benchmark spends.
func endless(key ...string) Config {
	c := config("1000000/s", 0, key...)
	c.Rate.Count = 1_000_000_000
	return c
}

// The policy of the bench, and others that are usual.
func BenchmarkUsual(b *testing.B) {
	for name, c := range map[string]Config{
		"principal": endless("principal", "ip"),
		"ip":        endless("ip"),
		"one":       endless(),
		"spending":  config("1000000/h", 1_000_000_000, "principal", "ip"), // each request says another number
	} {
		g := NewGate(limiter(b, "each", c))
		b.Run(name, func(b *testing.B) {
			r := usualRequest()
			b.ReportAllocs()
			for b.Loop() {
				_ = g.Check(r)
			}
		})
		b.Run(name+"-parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(2)
			b.RunParallel(func(pb *testing.PB) {
				r := usualRequest()
				for pb.Next() {
					_ = g.Check(r)
				}
			})
		})
	}
}
