//go:build !race

package logging

import (
	"io"
	"testing"

	"sidecar/internal/exchange"
)

// The line is on the path of every request: it allocates nothing.
func TestEndAllocatesNothing(t *testing.T) {
	for name, r := range map[string]*exchange.Record{
		"served": record(),
		"retried, for somebody": with(
			decided(exchange.Decision{Kind: exchange.Retry, Policy: "safe", Outcome: exchange.Act, Reason: "503", Line: 41, Detail: "after 25ms"}),
			func(r *exchange.Record) {
				r.TraceID = "4bf92f3577b34da6a3ce929d0e0e4736"
				r.Identify(&exchange.Principal{Subject: "alice\u2028\xff", By: exchange.ByToken})
			},
		),
	} {
		log := New(io.Discard, defaults())
		if got := testing.AllocsPerRun(1000, func() { log.End(t.Context(), r) }); got != 0 {
			t.Errorf("%s: End allocates %v times, want none", name, got)
		}
		log.Start()
		if got := testing.AllocsPerRun(1000, func() { log.End(t.Context(), r) }); got != 0 {
			t.Errorf("%s: in the background, End allocates %v times, want none", name, got)
		}
		log.Close(t.Context())
	}
}
