package concurrency

import (
	"errors"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sidecar/internal/exchange"
)

// seen is so many calls alike.
type seen struct {
	calls  int
	flight int64 // how many were in flight, as far as the limit let them
	took   time.Duration
	failed bool

	workers int64 // more than these in flight queue; 0: nothing does
}

// lasts returns how long a call takes that is the n-th in flight.
func (s seen) lasts(n int64) time.Duration {
	if s.workers > 0 && n > s.workers {
		return s.took * time.Duration(n) / time.Duration(s.workers)
	}
	return s.took
}

// learned returns a gradient from 4 to 200 that has been shown all of these, ten
// milliseconds apart.
func learned(all ...seen) *gradient {
	g := newGradient(4, 200, new(atomic.Int64))
	now := time.Unix(1_000_000, 0)
	for _, s := range all {
		for range s.calls {
			now = now.Add(10 * time.Millisecond)
			n := min(s.flight, int64(g.places()))
			took := s.lasts(n)
			g.sample(now, call{start: now.Add(-took), n: n}, took, s.failed)
		}
	}
	return g
}

func TestWhatMovesTheLimit(t *testing.T) {
	const quick, slow = 20 * time.Millisecond, 200 * time.Millisecond
	tests := []struct {
		name      string
		seen      []seen
		low, high int
	}{
		{"nothing", nil, 20, 20},
		{"calls that are few", []seen{{2000, 2, quick, false, 0}}, 20, 20},
		{"calls that are not all there may be", []seen{{2000, 19, quick, false, 0}}, 20, 20},
		{"slow calls that are few: each may take what it likes", []seen{{100, 2, quick, false, 0}, {2000, 2, slow, false, 0}}, 20, 20},
		{"calls that need all places, and take no longer", []seen{{300, 200, quick, false, 0}}, 30, 60},
		{"calls that need all places, to the end", []seen{{9000, 200, quick, false, 0}}, 190, 200},
		{"calls of which all but five queue", []seen{{2000, 200, quick, false, 5}}, 6, 9},
		{"a tenth of failures, where places are not the bound", []seen{{18, 5, quick, false, 0}, {200, 5, quick, true, 0}}, 4, 10},
		{"one call that hangs", []seen{{39, 10, quick, false, 0}, {1, 10, time.Hour, false, 0}}, 20, 20},
		{"failures while it is measured", []seen{{20, 15, quick, false, 0}, {45, 15, quick, true, 0}}, 10, 10},
		{"nothing but failures", []seen{{100, 5, quick, false, 0}, {2000, 5, quick, true, 0}}, 4, 4},
		{"one failure in thirty", []seen{{29, 5, quick, false, 0}, {1, 5, quick, true, 0}, {29, 5, quick, false, 0}, {1, 5, quick, true, 0}}, 20, 20},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := learned(tt.seen...)
			if got := g.places(); got < tt.low || got > tt.high {
				t.Errorf("limit %d, want %d to %d", got, tt.low, tt.high)
			}
		})
	}
}

func TestWhatMovesTheBaseline(t *testing.T) {
	const quick, slow = 20 * time.Millisecond, 100 * time.Millisecond
	tests := []struct {
		name      string
		seen      []seen
		low, high time.Duration
	}{
		{"the first calls", []seen{{20, 15, quick, false, 0}}, quick, quick},
		{"one call that hangs", []seen{{20, 15, quick, false, 0}, {19, 15, quick, false, 0}, {1, 15, time.Hour, false, 0}}, quick, quick},
		{"many that take longer since they queue", []seen{{2000, 200, quick, false, 5}}, quick, 21 * time.Millisecond},
		{"many that take longer, with few in flight", []seen{{20, 2, quick, false, 0}, {400, 2, slow, false, 0}}, 95 * time.Millisecond, slow},
		{"few that take longer, while some fail", append([]seen{{20, 2, quick, false, 0}}, slices.Repeat([]seen{{9, 2, slow, false, 0}, {1, 2, slow, true, 0}}, 20)...), quick, quick},
		{"calls that take less", []seen{{20, 15, slow, false, 0}, {400, 15, quick, false, 0}}, quick, 25 * time.Millisecond},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := learned(tt.seen...)
			if got := g.baseline().Round(time.Millisecond); got < tt.low || got > tt.high {
				t.Errorf("baseline %v, want %v to %v", got, tt.low, tt.high)
			}
		})
	}
}

// What fails shows nothing of how long a call takes.
func TestNothingIsMeasuredWhileCallsFail(t *testing.T) {
	g := learned(seen{20, 10, 20 * time.Millisecond, false, 0}, seen{100, 200, time.Second, true, 0})
	if g.lowered != 0 {
		t.Errorf("the limit is lowered to %v, want no experiment", g.lowered)
	}
}

func TestTheLimitStaysWithinItsBounds(t *testing.T) {
	tests := []struct {
		low, high, want int // at the beginning
	}{
		{1, 200, 20}, {4, 10, 10}, {50, 200, 50}, {7, 7, 7},
	}
	for _, tt := range tests {
		g := newGradient(tt.low, tt.high, new(atomic.Int64))
		if got := g.places(); got != tt.want {
			t.Errorf("%d to %d begins with %d, want %d", tt.low, tt.high, got, tt.want)
		}
		now := time.Unix(1_000_000, 0)
		for i := range 20_000 {
			now = now.Add(time.Millisecond)
			// Up while it is quick, down while it fails, in turns.
			g.sample(now, call{start: now.Add(-time.Millisecond), n: int64(g.places())}, time.Millisecond, i/5000%2 == 1)
			if got := g.places(); got < tt.low || got > tt.high {
				t.Fatalf("limit %d after %d calls, want %d to %d", got, i, tt.low, tt.high)
			}
		}
	}
}

// A fallback may answer for hours, and shall have all the places meanwhile.
func TestAnExperimentThatShowsNothingEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewState("adaptive@orders", config(func(c *Config) { c.Algorithm, c.Max = Gradient, 100 }))
		g := s.gradient
		g.lowered, g.since = 5, time.Now()
		g.told.Store(5)
		time.Sleep(rest - 1)
		s.answered(call{start: time.Now()}, nothing)
		if got := s.limit.Load(); got != 5 {
			t.Errorf("limit %d during the experiment, want 5", got)
		}
		time.Sleep(time.Nanosecond)
		s.answered(call{start: time.Now()}, nothing)
		if got := s.limit.Load(); got != initialLimit {
			t.Errorf("limit %d after %v without a sample, want %d again", got, rest, initialLimit)
		}
	})
}

func TestWhatACallSaysOfTheCapacity(t *testing.T) {
	const served, failed, nothing = "served", "failed", "nothing"
	tests := []struct {
		name string
		end  any
		want string
	}{
		{"200", 200, served},
		{"404", 404, served},
		{"429", 429, failed},
		{"500, a mistake perhaps", 500, nothing},
		{"502", 502, failed},
		{"503", 503, failed},
		{"504", 504, failed},
		{"no connection", exchange.FailedConnect, failed},
		{"a connection that breaks", exchange.FailedReset, failed},
		{"no answer in time", exchange.FailedTimeout, failed},
		{"an answer that is not HTTP", exchange.FailedProtocol, nothing},
		{"a client that leaves", exchange.FailedClient, nothing},
		{"our own end", exchange.FailedCancelled, nothing},
		{"an open breaker", &exchange.Refusal{Kind: exchange.CircuitBreaker, Reason: exchange.BreakerOpen}, nothing},
		{"an answer that nobody was called for", http.StatusTeapot, nothing},
		{"an answer of who stands in", http.StatusIMUsed, nothing},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := config(func(c *Config) { c.Algorithm, c.Max = Gradient, 100 })
				state := NewState("adaptive@orders", c)
				rt := New(c, state, func() float64 { return 0 }).Wrap(exchange.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
					if tt.end != http.StatusTeapot {
						exchange.From(r.Context()).NextAttempt()
					}
					if tt.end == http.StatusIMUsed {
						exchange.From(r.Context()).Divert("backup")
					}
					switch end := tt.end.(type) {
					case int:
						return exchange.NewResponse(r, end, "", nil, nil), nil
					case exchange.FailureKind:
						return nil, &exchange.Failure{Kind: end, Err: errors.New("scripted")}
					}
					return nil, tt.end.(error)
				}))
				r, _ := http.NewRequestWithContext(exchange.With(t.Context(), &exchange.Record{}), "GET", "/", nil)
				if resp, err := rt.RoundTrip(r); err == nil {
					resp.Body.Close()
				}
				got := nothing
				switch w := state.gradient.seen; {
				case w.served > 0:
					got = served
				case w.failed > 0:
					got = failed
				}
				if got != tt.want {
					t.Errorf("counts as %s, want %s", got, tt.want)
				}
			})
		})
	}
}
