package faults

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sidecar/internal/exchange"
)

// ended is an exchange that has ended so, and met a fault or did not.
func ended(status int, took time.Duration, met bool) *exchange.Record {
	r := &exchange.Record{Status: status, Took: took}
	if met {
		r.Note(exchange.Decision{Kind: exchange.Fault, Policy: "chaos", Outcome: exchange.Act, Reason: exchange.FaultAbort})
	}
	return r
}

func TestAFaultGivesUpWhenOthersSuffer(t *testing.T) {
	const ms = time.Millisecond
	steady := exchange.SteadyState{ErrorPercent: ptr(10.0), P99: 500 * ms, MinRequests: 20}
	tests := []struct {
		name    string
		traffic func(end func(status int, took time.Duration, met bool))
		why     string // empty: it stays on
	}{
		{"all is well", func(end func(int, time.Duration, bool)) {
			for range 100 {
				end(200, ms, false)
			}
		}, ""},
		{"only those fail that it meets", func(end func(int, time.Duration, bool)) {
			for range 100 {
				end(200, ms, false)
				end(503, ms, true)
			}
		}, ""},
		{"others fail, too few to judge", func(end func(int, time.Duration, bool)) {
			for range 19 {
				end(503, ms, false)
			}
		}, ""},
		{"others fail", func(end func(int, time.Duration, bool)) {
			for range 20 {
				end(503, ms, false)
			}
		}, "20 of 20 requests failed: 100 %, more than 10 %"},
		{"as many as may", func(end func(int, time.Duration, bool)) {
			for range 20 {
				for range 9 {
					end(200, ms, false)
				}
				end(500, ms, false)
			}
		}, ""},
		{"others are slow", func(end func(int, time.Duration, bool)) {
			for range 20 {
				end(200, time.Second, false)
			}
		}, "20 of 20 requests took more than 500ms: 100 %, more than 1 %"},
		{"others failed long ago", func(end func(int, time.Duration, bool)) {
			for range 19 {
				end(503, ms, false)
			}
			time.Sleep(2 * span)
			for range 19 {
				end(503, ms, false)
			}
		}, ""},
		{"clients leave", func(end func(int, time.Duration, bool)) {
			for range 100 {
				end(499, time.Minute, false)
			}
		}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var told exchange.Event
				s := NewSwitch(func(e exchange.Event) error { told = e; return nil })
				f := policy("chaos", func(c *Config) { disabled(c); c.AbortIf = &steady })
				s.Sync([]Named{f})
				if _, err := s.On("chaos", Toggle{}, by("ann")); err != nil {
					t.Fatal(err)
				}
				tt.traffic(func(status int, took time.Duration, met bool) {
					r := ended(status, took, met)
					if status == 499 {
						r.Reason = exchange.ClientClosed
					}
					s.End(t.Context(), r)
				})
				status, _ := s.Get("chaos")
				if on := tt.why == ""; status.Active != on {
					t.Fatalf("active = %v, want %v", status.Active, on)
				}
				if tt.why == "" {
					return
				}
				if status.SetBy != byAbortIf || told.To != "off" || !told.Bad || !told.Who.IsZero() || !strings.Contains(told.Detail, tt.why) {
					t.Errorf("set by %q, told %+v, want off by itself, bad, since %s", status.SetBy, told, tt.why)
				}
				s.Sync([]Named{f})
				wantActive(t, s, f, false) // a reload does not switch it on again
				if _, err := s.On("chaos", Toggle{}, by("ann")); err != nil {
					t.Fatal(err)
				}
				s.End(t.Context(), ended(503, ms, false))
				wantActive(t, s, f, true) // anew: what was before counts no more
			})
		})
	}
}

func BenchmarkEnd(b *testing.B) {
	s := NewSwitch(nil)
	s.Sync([]Named{policy("chaos", func(c *Config) {
		enabled(c)
		c.AbortIf = &exchange.SteadyState{ErrorPercent: ptr(10.0), MinRequests: 20}
	})})
	r := ended(200, time.Millisecond, false)
	run := func(b *testing.B) {
		b.ReportAllocs()
		b.SetParallelism(2)
		b.RunParallel(func(p *testing.PB) {
			for p.Next() {
				s.End(b.Context(), r)
			}
		})
	}
	b.Run("abortIf", run)
	s.Sync(nil)
	b.Run("off", run)
}
