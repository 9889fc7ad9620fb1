package logging

import (
	"io"
	"net/netip"
	"testing"
	"time"

	"sidecar/internal/exchange"
)

func BenchmarkEnd(b *testing.B) {
	log := New(io.Discard, defaults())
	log.Start()
	defer func() {
		log.Close(b.Context())
		b.Logf("%d lines lost", log.Dropped()) // more come than any disk takes
	}()
	served := record()
	retried := record()
	retried.Note(exchange.Decision{Kind: exchange.Retry, Policy: "safe", Outcome: exchange.Act, Reason: "503", Line: 41})
	for name, r := range map[string]*exchange.Record{"served": served, "retried": retried} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				log.End(b.Context(), r)
			}
		})
		b.Run(name+" parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(2)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					log.End(b.Context(), r)
				}
			})
		})
	}
}

func defaults() (c Config) {
	c.SetDefaults()
	return c
}

// record returns the record of a request that was simply served.
func record() *exchange.Record {
	r := &exchange.Record{
		ID: "req-1", Method: "GET", Path: "/v1/orders/42", Host: "api.example.com", Proto: "HTTP/1.1",
		Route: "orders", Upstream: "orders", Client: netip.MustParseAddr("203.0.113.7"),
		Start:  time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
		Status: 200, BytesIn: 12, BytesOut: 345, Took: 1234567 * time.Nanosecond,
	}
	r.NextAttempt()
	r.Waited(900 * time.Microsecond)
	r.Note(exchange.Decision{Kind: exchange.Authz, Policy: "rbac", Outcome: exchange.Pass, Line: 9})
	return r
}
