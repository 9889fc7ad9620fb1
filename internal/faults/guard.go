package faults

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"sidecar/internal/exchange"
)

var _ exchange.Observer = (*Switch)(nil)

// guard watches, on behalf of abortIf, how those requests fare that a fault did
// not meet.
type guard struct {
	state exchange.SteadyState

	mu     sync.Mutex // guards window
	window exchange.Window
}

// span is how far back a guard looks: once or twice so far.
const span = 10 * time.Second

// newGuard returns old if it watches over the same.
func newGuard(state *exchange.SteadyState, old *guard) *guard {
	if state == nil {
		return nil
	}
	if old != nil && same(old.state, *state) {
		return old
	}
	g := &guard{state: *state}
	g.reset()
	return g
}

func same(a, b exchange.SteadyState) bool {
	if a.ErrorPercent != nil && b.ErrorPercent != nil && *a.ErrorPercent == *b.ErrorPercent {
		b.ErrorPercent = a.ErrorPercent
	}
	return a == b
}

func (g *guard) reset() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.window = exchange.Window{Span: span}
}

// add counts a request, and says in words how the state is broken, if it is.
func (g *guard) add(failed bool, took time.Duration) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.window.Add(time.Now(), failed, g.state.Slow(took))
	return g.state.Breach(g.window.Tally())
}

// Moments implements exchange.Selective.
func (*Switch) Moments() exchange.Moments { return exchange.AtEnd }

// Begin returns ctx.
func (s *Switch) Begin(ctx context.Context, _ *exchange.Record) context.Context { return ctx }

// Attempt returns ctx.
func (s *Switch) Attempt(ctx context.Context, _ *exchange.Record, _ *exchange.Attempt) context.Context {
	return ctx
}

// Attempted does nothing.
func (s *Switch) Attempted(context.Context, *exchange.Record, *exchange.Attempt) {}

// End looks how r fared, for those faults with an abortIf that did not meet it.
// It switches off what has broken the steady state.
func (s *Switch) End(_ context.Context, r *exchange.Record) {
	running := s.running.Load()
	if running == nil {
		return
	}
	for name, run := range *running {
		if run.guard == nil || met(r, name) {
			continue
		}
		failed, counts := r.Fared()
		if !counts {
			continue
		}
		if why := run.guard.add(failed, r.Took); why != "" {
			s.giveUp(name, run, why)
		}
	}
}

// met reports whether the fault called name did something to r.
func met(r *exchange.Record, name string) bool {
	return slices.ContainsFunc(r.Notes(), func(d *exchange.Decision) bool {
		return d.Kind == exchange.Fault && d.Policy == name && d.Outcome == exchange.Act
	})
}

// byAbortIf is who has switched off a fault that broke the steady state.
const byAbortIf = "abortIf"

// giveUp switches a fault off for what its abortIf has seen, unless run is over.
// It stays off until it is switched on again.
func (s *Switch) giveUp(name string, run *run, why string) {
	s.end(name, func(f *fault) bool { return f.term != nil && f.term.over.Done() == run.over },
		&word{who: exchange.Who{Name: byAbortIf}},
		fmt.Sprintf("abortIf: outside of what it breaks, %s", why), true)
}

// end gives a fault another word by itself, if still holds. Nobody can object.
func (s *Switch) end(name string, still func(*fault) bool, w *word, why string, bad bool) {
	s.changing.Lock()
	defer s.changing.Unlock()
	s.mu.Lock()
	f := s.faults[name]
	if f == nil || !still(f) {
		s.mu.Unlock()
		return
	}
	now := time.Now()
	e := exchange.Event{
		Time: now, Kind: exchange.Fault, Name: name, From: onOff(f.active(now)),
		Detail: why, Line: f.config.Line, Bad: bad, Shadow: f.config.Mode == exchange.ModeShadow,
	}
	f.word = w
	e.To = onOff(f.active(now))
	s.publish(now)
	s.mu.Unlock()
	_ = s.tell(e) // it has happened already
}
