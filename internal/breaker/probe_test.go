package breaker

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"sidecar/internal/exchange"
)

func half(maxProbes, successes int) func(*Config) {
	return func(c *Config) { c.HalfOpen = HalfOpen{MaxProbes: maxProbes, Successes: successes} }
}

// maxProbes bounds what is in flight, successes what must have ended well; each
// does what it says, whichever is larger.
func TestProbesAndSuccessesAreApart(t *testing.T) {
	tests := []struct {
		name                 string
		maxProbes, successes int
	}{
		{"many at once, few needed", 10, 3},
		{"one at a time, several needed", 1, 5},
		{"as many as are needed", 3, 3},
		{"one", 1, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, config(half(tt.maxProbes, tt.successes)), 500)
				b.want("500", "500", "500")
				time.Sleep(5 * time.Second)
				var probes []*held
				more := func() {
					t.Helper()
					for len(probes) < tt.maxProbes {
						probes = append(probes, b.hold())
						synctest.Wait()
					}
					b.want("breaker_probe_full")
				}
				more()
				for n := 1; n < tt.successes; n++ {
					if got := probes[0].finish(200); got != "200" {
						t.Fatalf("probe: got %s", got)
					}
					probes = probes[1:]
					b.wantState("half-open")
					if got := b.state.Status().Successes; got != n {
						t.Errorf("%d successes, want %d", got, n)
					}
					more()
				}
				probes[0].finish(200)
				b.wantState("closed")
				for _, late := range probes[1:] { // they have nothing to say any more
					late.finish(500)
				}
				b.wantState("closed")
				if got := b.state.Status(); got.Requests != 0 || got.Probes != 0 {
					t.Errorf("closed with %d requests and %d probes, want none", got.Requests, got.Probes)
				}
			})
		})
	}
}

func TestOneFailedProbeOpensTheBreakerAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, config(half(10, 3)), 500)
		b.want("500", "500", "500")
		time.Sleep(5 * time.Second)
		first, second, third := b.hold(), b.hold(), b.hold()
		synctest.Wait()
		first.finish(200)
		second.finish(500)
		b.wantState("open")
		third.finish(200)
		b.wantState("open")
		b.wantTransitions(
			"closed>open: "+tripped+"; open for 5s",
			"open>half-open: at most 10 probes at once",
			"half-open>open: a probe failed (requests 2, failures 1, slow 0, in a row 1); open for 10s",
		)
	})
}

// A client that leaves a probe says nothing of the upstream, and leaves its
// place to another, however many do.
func TestProbesThatAreLeftDoNotStall(t *testing.T) {
	for _, h := range []HalfOpen{{10, 3}, {1, 5}} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, config(half(h.MaxProbes, h.Successes)), 500)
			b.want("500", "500", "500")
			time.Sleep(5 * time.Second)
			rt := b.breaker.Admit(b.breaker.Count(exchange.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
				<-r.Context().Done()
				return nil, r.Context().Err()
			})))
			for range 3 {
				ctx, leave := context.WithCancel(t.Context())
				for range h.MaxProbes {
					go func() { _, _ = rt.RoundTrip(request(ctx)) }()
				}
				synctest.Wait()
				b.want("breaker_probe_full")
				leave()
				synctest.Wait()
			}
			if got := b.state.Status(); got.State != "half-open" || got.Probes != 0 || got.Successes != 0 {
				t.Errorf("%d probes at once: %+v, want it half-open with nothing counted", h.MaxProbes, got)
			}
			for range h.Successes {
				b.hold().finish(200)
			}
			b.wantState("closed")
		})
	}
}

// A stream that is answered late, or never, must not keep the breaker half-open
// for all others.
func TestProbesWithoutAnAnswerMakeRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, config(half(2, 3)), 500, 500, 500, 200)
		b.want("500", "500", "500")
		time.Sleep(5 * time.Second)
		hang := func() (all []*held) {
			for range 2 {
				all = append(all, b.hold())
				synctest.Wait()
			}
			b.want("breaker_probe_full")
			time.Sleep(probeTime - 1)
			b.want("breaker_probe_full")
			time.Sleep(time.Nanosecond)
			return all
		}
		first := hang()
		second := hang() // and those that come in their place may hang too
		for _, late := range first {
			late.finish(200)
		}
		if got := b.state.Status(); got.State != "half-open" || got.Probes != 2 || got.Successes != 2 {
			t.Errorf("%+v, want the two of now in flight, and the late ones counted as they ended", got)
		}
		b.want("200")
		b.wantState("closed")
		for _, late := range second {
			late.finish(500)
		}
		b.wantState("closed")
		if got := b.state.Status(); got.Probes != 0 || got.Requests != 0 {
			t.Errorf("%+v, want nothing left of the probes", got)
		}
	})
}

func TestAProbeIsNotToBeRepeated(t *testing.T) {
	for mode, want := range map[exchange.Mode]bool{exchange.ModeEnforce: true, exchange.ModeShadow: false} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, config(func(c *Config) { c.Mode = mode }), 500, 500, 500, 200)
			called := func() bool {
				rec := &exchange.Record{}
				_, _ = b.rt.RoundTrip(request(exchange.With(t.Context(), rec)))
				return rec.CalledOnce()
			}
			for range 3 {
				if called() {
					t.Errorf("mode %v: a call while it is closed is for once", mode)
				}
			}
			time.Sleep(5 * time.Second)
			if got := called(); got != want {
				t.Errorf("mode %v: a probe is for once: %v, want %v", mode, got, want)
			}
		})
	}
}

// FuzzState makes calls that begin, end and overlap at random, over time and
// under an operator's hand, and looks at what must hold whatever comes.
func FuzzState(f *testing.F) {
	f.Add([]byte{0, 2, 0, 2, 0, 2, 4, 0, 0, 1, 1}, uint8(2), uint8(3))
	f.Add([]byte{0, 2, 0, 2, 0, 2, 4, 0, 3, 0, 3, 0, 3, 4, 4}, uint8(1), uint8(1))
	f.Add([]byte{5, 0, 6, 0, 7, 0, 2, 8, 8, 4}, uint8(9), uint8(1))
	f.Fuzz(func(t *testing.T, steps []byte, maxProbes, successes uint8) {
		if len(steps) > 200 {
			steps = steps[:200]
		}
		synctest.Test(t, func(t *testing.T) {
			c := config(half(1+int(maxProbes%10), 1+int(successes%10)), func(c *Config) { c.Slow = &Slow{Over: time.Second, Percent: 60} })
			last := "closed"
			s := NewState("s", c, func() float64 { return 0.5 }, func(e exchange.Event) error {
				if e.From != last {
					t.Errorf("told %s>%s after one to %s", e.From, e.To, last)
				}
				last = e.To
				return nil
			})
			var in []ticket
			for _, step := range steps {
				switch step % 9 {
				case 0:
					if ticket, reason, _ := s.enter(); reason == "" {
						in = append(in, ticket)
					}
				case 1, 2, 3, 8:
					if len(in) > 0 {
						end := map[byte]error{1: nil, 2: errFailed, 3: errExcluded, 8: nil}[step%9]
						s.leave(in[0], end, step%9 == 8)
						in = in[1:]
					}
				case 4:
					time.Sleep(4 * time.Second)
				default:
					_ = s.Force([]string{"open", "closed", "auto"}[step%9-5], ann)
				}
				switch got := s.Status(); {
				case got.Probes < 0, got.Probes > c.HalfOpen.MaxProbes:
					t.Fatalf("%d probes in flight, want at most %d", got.Probes, c.HalfOpen.MaxProbes)
				case got.State != last:
					t.Fatalf("state is %s, told was %s", got.State, last)
				case (s.calm.Load() != nil) != (got.State == "closed" && !got.Forced):
					t.Fatalf("calls pass without a look, while it is %s", got.State)
				}
			}
			for _, ticket := range in {
				s.leave(ticket, errExcluded, false)
			}
			_ = s.Force("closed", ann)
			_ = s.Force("auto", ann)
			for range c.ConsecutiveFailures {
				ticket, _, _ := s.enter()
				s.leave(ticket, errFailed, false)
			}
			time.Sleep(c.OpenFor.Max)
			for range c.HalfOpen.Successes {
				ticket, reason, _ := s.enter()
				if reason != "" {
					t.Fatalf("it does not come back: %s", reason)
				}
				s.leave(ticket, nil, false)
			}
			if got := s.Status().State; got != "closed" {
				t.Errorf("state is %s, want it closed again", got)
			}
		})
	})
}
