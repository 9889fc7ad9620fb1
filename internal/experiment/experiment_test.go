package experiment

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"sidecar/internal/exchange"
)

func TestAnExperimentGoesThroughItsPhases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := begin(t, nil)
		steps := []struct {
			phase Phase
			on    bool
			lasts time.Duration
			sends request
		}{
			{Baseline, false, 10 * time.Second, request{took: 10 * time.Millisecond}},
			{Fault, true, 20 * time.Second, request{took: 50 * time.Millisecond, attempts: "aborted ok"}},
			{Recovery, false, 10 * time.Second, request{took: 20 * time.Millisecond}},
		}
		for _, s := range steps {
			if r := l.report(); r.Phase != s.phase || l.fault.isOn() != s.on {
				t.Fatalf("phase %s, fault on %v, want %s, %v", r.Phase, l.fault.isOn(), s.phase, s.on)
			}
			l.traffic(s.lasts, s.sends)
		}
		r := l.wantEnd(Held, "0 of 200 requests failed")
		if r.Injected != 7 || r.Met != 200 || r.Absorbed != 200 || r.Surfaced != 0 {
			t.Errorf("injected %d, met %d, absorbed %d, surfaced %d, want 7, 200, 200, 0", r.Injected, r.Met, r.Absorbed, r.Surfaced)
		}
		if r.Before.Requests != 100 || r.During.Requests != 200 || r.After.Requests != 100 {
			t.Errorf("requests before %d, during %d, after %d, want 100, 200, 100", r.Before.Requests, r.During.Requests, r.After.Requests)
		}
		if want := []string{"->baseline by ann", "recovery->held by "}; !slices.Equal(l.told, want) {
			t.Errorf("told %q, want %q", l.told, want)
		}
	})
}

// What became of a request that met the fault.
func TestAbsorbedAndSurfaced(t *testing.T) {
	fallback := []exchange.Decision{{Kind: exchange.CircuitBreaker, Outcome: exchange.Act, Reason: exchange.FallbackServed}}
	tests := []struct {
		name string
		request
		want string // absorbed, surfaced, slow, left, fallback; - is not met
	}{
		{"a retry succeeds", request{attempts: "aborted ok"}, "absorbed"},
		{"two retries succeed", request{attempts: "aborted reset ok"}, "absorbed"},
		{"the retry meets it too", request{attempts: "aborted aborted", status: 503}, "surfaced"},
		{"the client gets the abort, whatever its status", request{attempts: "aborted", status: 404}, "surfaced"},
		{"the retry succeeds, with an error of its own", request{attempts: "aborted ok", status: 500}, "surfaced"},
		{"the upstream says 404 to the retry", request{attempts: "aborted ok", status: 404}, "absorbed"},
		{"a reset that nothing absorbs", request{attempts: "reset", status: 502, reason: exchange.UpstreamReset}, "surfaced"},
		{"a reset, and the retry succeeds", request{attempts: "reset ok"}, "absorbed"},
		{"a delay within p99", request{attempts: "delayed", took: 500 * time.Millisecond}, "absorbed"},
		{"a delay beyond p99", request{attempts: "delayed", took: 501 * time.Millisecond}, "slow"},
		{"a retry that takes too long", request{attempts: "aborted ok", took: time.Second}, "slow"},
		{"a delay until the timeout", request{attempts: "delayed", status: 504, reason: exchange.UpstreamTimeout}, "surfaced"},
		{"a changed body", request{attempts: "corrupt"}, "surfaced"},
		{"a changed body that a retry replaced", request{attempts: "corrupt ok"}, "absorbed"},
		{"a body that breaks off", request{attempts: "ok", status: 200, reason: exchange.UpstreamBody, decided: []exchange.Decision{
			{Kind: exchange.Fault, Policy: "chaos", Outcome: exchange.Act, Reason: exchange.FaultBody},
		}}, "surfaced"},
		{"a gRPC status of the server's", request{attempts: "delayed", grpc: "14"}, "surfaced"},
		{"a gRPC status of the client's", request{attempts: "delayed", grpc: "5"}, "absorbed"},
		{"the fallback", request{attempts: "reset", decided: fallback}, "fallback"},
		{"the client leaves", request{attempts: "delayed", status: 499, reason: exchange.ClientClosed}, "left"},
		{"no fault", request{attempts: "ok", status: 503}, "-"},
		{"another fault", request{attempts: "ok", decided: []exchange.Decision{
			{Kind: exchange.Fault, Policy: "other", Outcome: exchange.Act, Reason: exchange.FaultAbort},
		}}, "-"},
		{"the fault in shadow", request{attempts: "ok", decided: []exchange.Decision{
			{Kind: exchange.Fault, Policy: "chaos", Outcome: exchange.Shadow, Reason: exchange.FaultAbort},
		}}, "-"},
		{"another route", request{route: "other", attempts: "aborted", status: 503}, "-"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := begin(t, nil)
				defer l.Close()
				l.traffic(10*time.Second, request{})
				l.send(tt.request)
				r := l.report()
				want := Report{Absorbed: 0}
				switch tt.want {
				case "absorbed":
					want.Met, want.Absorbed = 1, 1
				case "fallback":
					want.Met, want.Absorbed, want.AbsorbedByFallback = 1, 1, 1
				case "surfaced":
					want.Met, want.Surfaced = 1, 1
				case "slow":
					want.Met, want.Surfaced, want.SurfacedSlow = 1, 1, 1
				case "left":
					want.Met, want.Left = 1, 1
				}
				got := Report{
					Met: r.Met, Absorbed: r.Absorbed, AbsorbedByFallback: r.AbsorbedByFallback,
					Surfaced: r.Surfaced, SurfacedSlow: r.SurfacedSlow, Left: r.Left,
				}
				if got.counts() != want.counts() {
					t.Errorf("met, absorbed, by fallback, surfaced, slow, left = %v, want %v", got.counts(), want.counts())
				}
				if got := r.Met; got != r.Absorbed+r.Surfaced+r.Left {
					t.Errorf("met %d is not what was absorbed, surfaced and left", got)
				}
			})
		})
	}
}

func (r *Report) counts() [6]int {
	return [6]int{r.Met, r.Absorbed, r.AbsorbedByFallback, r.Surfaced, r.SurfacedSlow, r.Left}
}

func TestHowAnExperimentEnds(t *testing.T) {
	const base, drill, rest = 10 * time.Second, 20 * time.Second, 10 * time.Second
	good, bad := request{attempts: "aborted ok"}, request{attempts: "aborted", status: 503}
	slow := request{took: 2 * time.Second}
	tests := []struct {
		name    string
		script  func(*lab)
		want    Outcome
		why     string
		never   bool // the fault was never on
		bothers bool // worth a word: it is bad
	}{
		{name: "the baseline fails", script: func(l *lab) {
			l.traffic(base, request{status: 500})
		}, want: Refused, why: "the steady state does not hold without the fault: 100 of 100 requests failed", never: true},
		{name: "the baseline is slow", script: func(l *lab) {
			l.traffic(base, slow)
		}, want: Refused, why: "without the fault: 100 of 100 requests took more than 500ms", never: true},
		{name: "the baseline has too little", script: func(l *lab) {
			l.traffic(900*time.Millisecond, request{})
			time.Sleep(base)
		}, want: Refused, why: "too few requests to judge without the fault: 9 in 10s, minRequests is 10", never: true},
		{name: "the fault has too little", script: func(l *lab) {
			l.traffic(base, request{})
			l.traffic(900*time.Millisecond, good)
			time.Sleep(drill + rest)
		}, want: Inconclusive, why: "too few requests to judge under the fault: 9"},
		{name: "nothing meets the fault", script: func(l *lab) {
			l.traffic(base+drill+rest, request{})
		}, want: Inconclusive, why: "no request that met the fault"},
		{name: "it breaks at once, and what comes after is measured", script: func(l *lab) {
			l.traffic(base, request{})
			l.traffic(900*time.Millisecond, bad)
			if !l.fault.isOn() {
				l.t.Error("the fault is off before there is enough to judge")
			}
			l.traffic(100*time.Millisecond, bad)
			if l.fault.isOn() || l.report().Phase != Recovery {
				l.t.Error("the fault is still on though the steady state broke")
			}
			l.traffic(rest, request{})
			if r := l.report(); r.After.Requests == 0 {
				l.t.Error("nothing was measured afterwards")
			}
		}, want: Broken, why: "under the fault 10 of 10 requests failed: 100 %, more than 5 %"},
		{name: "it breaks late: what was before does not hide it", script: func(l *lab) {
			l.traffic(base, request{})
			for range 10_000 {
				l.send(good)
			}
			time.Sleep(drill - time.Second) // the good ones are long past
			l.traffic(time.Second, bad)
			if l.fault.isOn() {
				l.t.Error("the fault is still on")
			}
			time.Sleep(rest)
		}, want: Broken, why: "under the fault 10 of 10 requests failed"},
		{name: "it breaks, with few requests", script: func(l *lab) {
			l.traffic(base, request{})
			for range 10 { // never as many in the same window
				if !l.fault.isOn() {
					l.t.Error("the fault is off before there is enough to judge")
				}
				l.send(bad)
				time.Sleep(drill / 11)
			}
			if l.fault.isOn() {
				l.t.Error("the fault is still on though the steady state broke")
			}
			time.Sleep(rest)
		}, want: Broken, why: "under the fault 10 of 10 requests failed"},
		{name: "what met the fault ends when it is off", script: func(l *lab) {
			l.traffic(base, request{})
			var open []func()
			for range 20 {
				open = append(open, l.open(good))
			}
			time.Sleep(drill + time.Second)
			for _, end := range open {
				end()
			}
			time.Sleep(rest)
		}, want: Held, why: "0 of 20 requests failed under the fault"},
		{name: "what met the fault fails when it is off", script: func(l *lab) {
			l.traffic(base, request{})
			var open []func()
			for range 20 {
				open = append(open, l.open(bad))
			}
			time.Sleep(drill + time.Second)
			for _, end := range open {
				end()
			}
			time.Sleep(rest)
		}, want: Broken, why: "under the fault 20 of 20 requests failed"},
		{name: "nothing meets the fault, and it does not recover", script: func(l *lab) {
			l.traffic(base+drill, request{})
			l.traffic(rest, request{status: 503})
		}, want: Broken, why: "it did not recover"},
		{name: "somebody aborts the recovery", script: func(l *lab) {
			l.traffic(base, request{})
			l.traffic(drill, good)
			_, _ = l.Abort(context.Background(), l.id, exchange.Who{Name: "bob"})
		}, want: Aborted, why: "aborted by bob"},
		{name: "it breaks for those who did not meet the fault", script: func(l *lab) {
			l.traffic(base, request{})
			l.traffic(time.Second, request{status: 503, reason: exchange.BreakerOpen})
			time.Sleep(rest)
		}, want: Broken, why: "under the fault 10 of 10 requests failed"},
		{name: "it does not recover", script: func(l *lab) {
			l.traffic(base, request{})
			l.traffic(drill, good)
			l.traffic(rest, request{status: 503})
		}, want: Broken, why: "it did not recover: 50 of 50 requests failed"},
		{name: "it recovers after a while", script: func(l *lab) {
			l.traffic(base, request{})
			l.traffic(drill, good)
			l.traffic(rest/2, request{status: 503})
			l.traffic(rest/2, request{})
		}, want: Held, why: "0 of 200 requests failed"},
		{name: "the fault's line in the audit file takes a while", script: func(l *lab) {
			l.fault.takes = 50 * time.Millisecond
			l.traffic(base, request{})
			l.traffic(drill, good)
			l.traffic(rest, request{})
		}, want: Held, why: "requests failed"},
		{name: "a request ends badly when the fault is off already", script: func(l *lab) {
			l.traffic(base, request{})
			var open []func()
			for range 20 {
				open = append(open, l.open(bad))
			}
			l.traffic(drill, good)
			for _, end := range open {
				end()
			}
			l.traffic(rest, request{})
		}, want: Broken, why: "under the fault 20 of 220 requests failed"},
		{name: "somebody switches the fault off", script: func(l *lab) {
			l.traffic(base, request{})
			l.traffic(time.Second, good)
			l.fault.last.end()
		}, want: Aborted, why: "switched off or changed by somebody else, by its abortIf, or by a reload"},
		{name: "somebody aborts the baseline", script: func(l *lab) {
			l.traffic(time.Second, request{})
			_, _ = l.Abort(context.Background(), l.id, exchange.Who{Name: "bob"})
		}, want: Aborted, why: "aborted by bob", never: true},
		{name: "somebody aborts it under the fault", script: func(l *lab) {
			l.traffic(base+time.Second, request{})
			if r, _ := l.Abort(context.Background(), l.id, exchange.Who{Name: "bob"}); r.Phase != Ended {
				l.t.Errorf("Abort returns in %s, want ended", r.Phase)
			}
		}, want: Aborted, why: "aborted by bob"},
		{name: "the sidecar ends", script: func(l *lab) {
			l.traffic(base+time.Second, request{})
			l.Close()
		}, want: Aborted, why: "shutting down"},
		{name: "the fault is not free any more", script: func(l *lab) {
			l.fault.refuses = errNo
			l.traffic(base, request{})
		}, want: Aborted, why: "no", never: true},
		{name: "a panic under the fault", script: func(l *lab) {
			l.fault.shakes = true
			l.traffic(base, request{})
		}, want: Aborted, why: "panic: no"},
		{name: "a panic", script: func(l *lab) {
			l.fault.panics = true
			l.traffic(base, request{})
		}, want: Aborted, why: "panic: no", never: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := begin(t, nil)
				tt.script(l)
				l.wantEnd(tt.want, tt.why)
				if never := l.fault.last == nil; never != tt.never {
					t.Errorf("the fault was never on: %v, want %v", never, tt.never)
				}
				if l.live.Load() != nil {
					t.Error("requests are still measured")
				}
				l.Close()
			})
		})
	}
}

// A request is measured by when it began, but for what met the fault.
func TestRequestsBelongToAPhase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := begin(t, nil)
		defer l.Close()
		before, retried := l.open(request{}), l.open(request{attempts: "ok aborted ok"})
		l.traffic(10*time.Second, request{})
		before()
		retried()
		during, met := l.open(request{}), l.open(request{attempts: "aborted ok"})
		if got := l.report().Unfinished; got != 2 {
			t.Errorf("%d unfinished, want the 2 that began under the fault", got)
		}
		l.traffic(20*time.Second, request{})
		during()
		met()
		r := l.report()
		if r.Before.Requests != 101 || r.During.Requests != 203 || r.After.Requests != 0 || r.Bystanders.Requests != 201 || r.Met != 2 || r.Unfinished != 0 {
			t.Errorf("before %d, during %d, after %d, bystanders %d, met %d, unfinished %d, want 101, 203, 0, 201, 2, 0",
				r.Before.Requests, r.During.Requests, r.After.Requests, r.Bystanders.Requests, r.Met, r.Unfinished)
		}
	})
}

func TestALeaseEndsUnlessItIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := begin(t, nil)
		l.Close()
		l.Experiments = New(nil)
		l.start(claim(nil), 5*time.Second)
		for range 12 { // far into the fault
			l.traffic(time.Second, request{})
			if _, err := l.Renew(l.id); err != nil {
				t.Fatal(err)
			}
		}
		if !l.fault.isOn() {
			t.Fatal("the fault is off though the lease was renewed")
		}
		l.traffic(4900*time.Millisecond, request{})
		if !l.fault.isOn() {
			t.Error("the fault is off before the lease ends")
		}
		time.Sleep(100 * time.Millisecond)
		l.wantEnd(Aborted, "nobody has renewed the lease of 5s")
		if _, err := l.Renew(l.id); err != nil {
			t.Errorf("Renew of one that has ended = %v, want its report", err)
		}
		l.Close()
	})
}

func TestOneExperimentAFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := begin(t, nil)
		defer l.Close()
		if _, err := l.Start(claim(nil), l.fault, nil, 0, ann); !errors.Is(err, ErrBusy) {
			t.Errorf("another one with the same fault: %v, want ErrBusy", err)
		}
		if _, err := l.Start(claim(nil), &fault{name: "other"}, nil, 0, ann); err != nil {
			t.Errorf("one with another fault: %v, want none", err)
		}
		if _, err := l.Start(claim(nil), &fault{name: "third", refuses: errNo}, nil, 0, ann); !errors.Is(err, errNo) {
			t.Errorf("one with a fault that cannot be on: %v, want its error", err)
		}
		l.Close()
		if _, err := l.Start(claim(nil), l.fault, nil, 0, ann); !errors.Is(err, ErrClosed) {
			t.Errorf("one at the end of all: %v, want ErrClosed", err)
		}
		if _, err := l.Get("x"); !errors.Is(err, ErrUnknown) {
			t.Errorf("Get of none = %v, want ErrUnknown", err)
		}
	})
}

func TestOldExperimentsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := begin(t, nil)
		first := l.id
		for range kept {
			_, _ = l.Abort(context.Background(), l.id, ann)
			l.start(claim(nil), 0)
		}
		_, _ = l.Abort(context.Background(), l.id, ann)
		if got := len(l.List()); got != kept {
			t.Errorf("%d are remembered, want %d", got, kept)
		}
		if _, err := l.Get(first); !errors.Is(err, ErrUnknown) {
			t.Errorf("the oldest: %v, want ErrUnknown", err)
		}
		if l.List()[0].ID != l.id {
			t.Error("the newest is not the first")
		}
	})
}

func TestWhatCannotBeToldDoesNotBegin(t *testing.T) {
	e := New(func(exchange.Event) error { return errNo })
	if _, err := e.Start(claim(nil), &fault{name: "chaos"}, nil, 0, ann); !errors.Is(err, errNo) || len(e.List()) != 0 {
		t.Errorf("Start = %v, with %d experiments, want errNo and none", err, len(e.List()))
	}
}

func TestBreakersThatOpenAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := begin(t, nil)
		defer l.Close()
		open := exchange.Event{Kind: exchange.CircuitBreaker, Name: "b", From: "closed", To: "open"}
		forced, shadow, closes := open, open, open
		forced.Who, shadow.Shadow, closes.To = ann, true, "closed"
		_ = l.Event(open) // not yet
		l.traffic(10*time.Second, request{})
		for _, e := range []exchange.Event{open, forced, shadow, closes, open} {
			_ = l.Event(e)
		}
		if got := l.report().BreakerTrips; got != 2 {
			t.Errorf("%d trips, want the 2 that came by themselves under the fault", got)
		}
	})
}

func BenchmarkObserve(b *testing.B) {
	idle, busy := New(nil), New(nil)
	c := claim(func(c *Config) { c.Baseline = time.Hour })
	if _, err := busy.Start(c, &fault{name: "chaos"}, []string{"orders"}, 0, ann); err != nil {
		b.Fatal(err)
	}
	defer busy.Close()
	r := &exchange.Record{Route: "orders", Status: 200, Took: time.Millisecond}
	for name, e := range map[string]*Experiments{"none": idle, "one": busy} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				e.End(e.Begin(context.Background(), r), r)
			}
		})
		b.Run(name+"/parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(2)
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					e.End(e.Begin(context.Background(), r), r)
				}
			})
		})
	}
}
