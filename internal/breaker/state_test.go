package breaker

import (
	"errors"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sidecar/internal/exchange"
)

func TestWhatOpensTheBreaker(t *testing.T) {
	percentOnly := func(c *Config) { c.ConsecutiveFailures = 0 }
	consecutiveOnly := func(c *Config) { c.FailurePercent = 0 }
	tests := []struct {
		name   string
		config Config
		ends   []any
		every  time.Duration // between two calls
		want   string
	}{
		{"half of the window", config(percentOnly), []any{200, 500, 200, 500}, 0, "open"},
		{"less than half", config(percentOnly), []any{200, 500, 200, 200, 500}, 0, "closed"},
		{"too few to tell", config(percentOnly), []any{500, 500, 500}, 0, "closed"},
		{"three in a row", config(), []any{500, 500, 500}, 0, "open"},
		{"a success between", config(consecutiveOnly), []any{500, 500, 200, 500, 500}, 0, "closed"},
		{"three in a row, each a window apart", config(consecutiveOnly), []any{500, 500, 500}, time.Minute, "open"},
		{"old failures are forgotten", config(percentOnly), []any{500, 500, 500, 500}, 4 * time.Second, "closed"},
		{"a failure opens, never a success", config(percentOnly), []any{500, 500, 500, 200}, 0, "closed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, tt.config, tt.ends...)
				for i := range tt.ends {
					if i > 0 {
						time.Sleep(tt.every)
					}
					b.call()
				}
				b.wantState(tt.want)
			})
		})
	}
}

func TestOutcomeCountsWhenItEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, config(func(c *Config) { c.ConsecutiveFailures = 0 }))
		var calls []*held
		for range 4 {
			calls = append(calls, b.hold())
		}
		time.Sleep(time.Minute) // six windows
		for _, h := range calls {
			h.finish(504)
		}
		b.wantTransitions("closed>open: 4 of 4 requests failed within 10s (requests 4, failures 4, slow 0, in a row 4); open for 5s")
	})
}

func TestOpenBreakerProbesAndCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, config(), 500, 500, 500, 200)
		b.want("500", "500", "500", "breaker_open")
		time.Sleep(5*time.Second - time.Nanosecond)
		b.want("breaker_open")
		time.Sleep(time.Nanosecond)
		b.want("200", "200")
		b.wantState("half-open")
		b.want("200")
		b.wantTransitions(
			"closed>open: "+tripped+"; open for 5s",
			"open>half-open: at most 2 probes at once",
			"half-open>closed: 3 probes succeeded",
		)
		if got := b.state.Status(); got.ConsecutiveFailures != 0 || got.Requests != 0 {
			t.Errorf("closed again with %d requests, %d failures in a row; want fresh counts", got.Requests, got.ConsecutiveFailures)
		}
	})
}

func TestPauseGrowsUntilClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		replies := append(repeat[any](6, 500), 200, 200, 200, 500, 500, 500)
		b := newBench(t, config(), replies...)
		b.want("500", "500", "500")
		for _, pause := range []time.Duration{5 * time.Second, 10 * time.Second, 15 * time.Second} {
			time.Sleep(pause - time.Nanosecond)
			b.want("breaker_open")
			time.Sleep(time.Nanosecond)
			b.want("500")
		}
		time.Sleep(15 * time.Second)
		b.want("200", "200", "200")
		b.want("500", "500", "500")
		if got, want := time.Until(b.state.Status().OpenUntil), 5*time.Second; got != want {
			t.Errorf("after a recovery the breaker opens for %v, want %v", got, want)
		}
	})
}

func TestJitterIsAroundThePause(t *testing.T) {
	tests := []struct {
		random  float64
		percent int
		n       int
		want    time.Duration
	}{
		{0, 20, 0, 4 * time.Second},
		{0.5, 20, 0, 5 * time.Second},
		{0.75, 20, 0, 5500 * time.Millisecond},
		{0, 20, 9, 12 * time.Second},
		{0.75, 20, 9, 16500 * time.Millisecond},
		{0, 0, 1, 10 * time.Second},
		{0, 100, 0, 0},
	}
	for _, tt := range tests {
		c := config(func(c *Config) { c.OpenFor.JitterPercent = tt.percent })
		s := NewState("s", c, func() float64 { return tt.random }, nil)
		if got := s.pause(tt.n); got != tt.want {
			t.Errorf("pause %d with %d%% at %v is %v, want %v", tt.n, tt.percent, tt.random, got, tt.want)
		}
	}
}

func TestProbesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, config(), 500)
		b.want("500", "500", "500")
		time.Sleep(5 * time.Second)
		first, second := b.hold(), b.hold()
		synctest.Wait()
		b.want("breaker_probe_full")
		if got := b.state.Status().Probes; got != 2 {
			t.Errorf("probes in flight: got %d, want 2", got)
		}
		first.finish(200)
		third := b.hold()
		synctest.Wait()
		b.want("breaker_probe_full")
		second.finish(200)
		third.finish(200)
		b.wantState("closed")
	})
}

// A slot that leaks would keep the breaker half-open for ever.
func TestProbeThatSaysNothingLeavesItsSlot(t *testing.T) {
	ends := map[string]any{
		"panic":            nil,
		"refusal":          &exchange.Refusal{Kind: exchange.RateLimit, Reason: exchange.RateLimited},
		"client's failure": &exchange.Failure{Kind: exchange.FailedClient},
		"unknown error":    http.ErrNotSupported,
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, config(), 500, 500, 500, 200)
				b.want("500", "500", "500")
				time.Sleep(5 * time.Second)
				for range 10 {
					b.hold().finish(end)
				}
				b.wantState("half-open")
				b.want("200", "200", "200")
				b.wantState("closed")
			})
		})
	}
}

func TestLateOutcomeOfAnEarlierStateDoesNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, config(), 500, 500, 500, 200)
		late := b.hold()
		synctest.Wait()
		b.want("500", "500", "500")
		time.Sleep(5 * time.Second)
		b.want("200")
		if got := late.finish(500); got != "500" {
			t.Fatalf("late call: got %s", got)
		}
		b.wantState("half-open") // it was no probe
		b.want("200", "200")
		b.wantState("closed")
		if got := b.state.Status().Requests; got != 0 {
			t.Errorf("requests in the window: got %d, want 0", got)
		}
	})
}

func TestStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, config(), 200, 500, 500, 500)
		b.want("200", "500", "500")
		want := Status{Name: "standard@orders", State: "closed", Requests: 3, Failures: 2, ConsecutiveFailures: 2, Total: exchange.Tally{Requests: 3, Errors: 2}}
		if diff := cmp.Diff(want, b.state.Status()); diff != "" {
			t.Errorf("while closed (-want +got):\n%s", diff)
		}
		b.want("500")
		trip := &Trip{Time: time.Now(), Why: "3 failures in a row", Requests: 4, Failures: 3, ConsecutiveFailures: 3}
		want = Status{
			Name: "standard@orders", State: "open", Requests: 4, Failures: 3, ConsecutiveFailures: 3,
			OpenUntil: time.Now().Add(5 * time.Second), LastTrip: trip, Total: exchange.Tally{Requests: 4, Errors: 3},
		}
		if diff := cmp.Diff(want, b.state.Status()); diff != "" {
			t.Errorf("while open (-want +got):\n%s", diff)
		}
		time.Sleep(time.Minute)
		want = Status{Name: "standard@orders", State: "half-open", ConsecutiveFailures: 3, LastTrip: trip, Total: exchange.Tally{Requests: 4, Errors: 3}}
		if diff := cmp.Diff(want, b.state.Status()); diff != "" {
			t.Errorf("when the pause is over (-want +got):\n%s", diff)
		}
	})
}

func TestForce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, config(), 500)
		force := func(state, who string) {
			t.Helper()
			if err := b.state.Force(state, exchange.Who{Name: who}); err != nil {
				t.Fatalf("Force(%s): %v", state, err)
			}
		}
		late := []*held{b.hold(), b.hold(), b.hold()}
		synctest.Wait()
		force("closed", "ann")
		force("closed", "ann") // changes nothing
		for _, h := range late {
			h.finish(500)
		}
		b.want(repeat(20, "500")...)
		if got := b.state.Status(); !got.Forced || got.State != "closed" || got.Requests != 0 {
			t.Errorf("forced closed: got %+v, want it to count nothing", got)
		}
		force("open", "ben")
		b.want("breaker_open")
		time.Sleep(time.Hour)
		b.want("breaker_open")
		if got := b.state.Status(); !got.Forced || got.State != "open" || !got.OpenUntil.IsZero() {
			t.Errorf("forced open: got %+v, want it to have no end", got)
		}
		force("auto", "ann")
		b.want("500", "500")
		b.wantState("closed")
		b.want("500", "breaker_open")
		force("open", "ann")
		b.wantTransitions(
			"closed>closed by ann: forced",
			"closed>open by ben: forced",
			"open>closed by ann: no longer forced",
			"closed>open: "+tripped+"; open for 5s",
			"open>open by ann: forced",
		)
	})
}

// What cannot be told is not done, and calls go on meanwhile.
func TestForceIsToldBeforeItIsDone(t *testing.T) {
	b := newBench(t, config(), 200)
	b.objection = errors.New("the disk is full")
	err := b.state.Force("open", ann)
	if want := `circuit breaker "standard@orders" is unchanged: the disk is full`; !errors.Is(err, b.objection) || err.Error() != want {
		t.Errorf("Force: %v, want %s", err, want)
	}
	b.want("200")
	for _, word := range []string{"auto", "ajar"} { // changes nothing, is none: nobody is asked
		_ = b.state.Force(word, ann)
	}
	b.wantTransitions("closed>open by ann: forced")
	b.objection = nil
	if err := b.state.Force("open", ann); err != nil {
		t.Error(err)
	}
	b.want("breaker_open")
}

// Telling may take as long as a disk: no call waits for it, and what the breaker
// does by itself meanwhile does not follow a word that is the last.
func TestABreakerMovesWhileItIsForced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked, answer := make(chan bool), make(chan error)
		var told []string
		s := NewState("s", config(), func() float64 { return 0.5 }, func(e exchange.Event) error {
			told = append(told, e.From+">"+e.To)
			if e.Who.IsZero() {
				return nil
			}
			asked <- true
			return <-answer
		})
		trip := func() {
			for range 3 {
				t, _, _ := s.enter()
				s.leave(t, errFailed, false)
			}
		}
		for _, err := range []error{errors.New("full"), nil} {
			go func() { _ = s.Force("closed", ann) }()
			<-asked
			trip()
			if got := s.Status().State; got != "open" {
				t.Errorf("state is %s, want open while it is told", got)
			}
			answer <- err
			synctest.Wait()
			if err != nil {
				s.begin() // as it was
				told = append(told, "")
			}
		}
		if want := []string{"closed>closed", "closed>open", "", "closed>closed"}; !slices.Equal(told, want) {
			t.Errorf("told %q, want %q", told, want)
		}
		if got := s.Status().State; got != "closed" {
			t.Errorf("state is %s, want it forced closed", got)
		}
	})
}

func TestForceRefusesAnUnknownWord(t *testing.T) {
	b := newBench(t, config(), 200)
	err := b.state.Force("half-open", ann)
	want := `state must be open, closed or auto, got "half-open"`
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	b.wantTransitions()
}

func TestEventsAreToldInOrder(t *testing.T) {
	s := NewState("s", config(), func() float64 { return 0 }, nil)
	last := "closed"
	s.tell = func(e exchange.Event) error { // one at a time: -race sees to it
		if e.From != last {
			t.Errorf("event %s>%s follows one to %s", e.From, e.To, last)
		}
		last = e.To
		return nil
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 200 {
				_ = s.Force([]string{"open", "closed", "auto"}[(i+n)%3], ann)
			}
		})
	}
	wg.Wait()
}

// Under load many calls are past our own look at the pause when one of them
// opens the breaker; none of them may end the pause.
func TestBurstDoesNotEndThePause(t *testing.T) {
	c := config(func(c *Config) { c.OpenFor = OpenFor{Base: time.Hour, Max: time.Hour} })
	for range 50 {
		b := newBench(t, c, 500)
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() { b.call() })
		}
		wg.Wait()
		b.wantTransitions("closed>open: " + tripped + "; open for 1h0m0s")
	}
}

// It refuses nobody: nobody has to be woken for it, nor to wonder.
// tripped is how three failures are told.
const tripped = "3 failures in a row (requests 3, failures 3, slow 0, in a row 3)"

func TestABreakerInShadowSaysSo(t *testing.T) {
	for mode, want := range map[exchange.Mode]exchange.Event{
		exchange.ModeEnforce: {Detail: tripped + "; open for 5s", Bad: true},
		exchange.ModeShadow:  {Detail: tripped + "; open for 5s; in shadow, nothing is refused", Shadow: true},
	} {
		b := newBench(t, config(func(c *Config) { c.Mode = mode }), 500)
		b.want("500", "500", "500")
		e := b.events[len(b.events)-1]
		if got := (exchange.Event{Detail: e.Detail, Bad: e.Bad, Shadow: e.Shadow}); e.To != "open" || got != want {
			t.Errorf("mode %v: it is told as %+v, want %+v", mode, e, want)
		}
	}
}
