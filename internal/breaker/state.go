package breaker

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"sidecar/internal/exchange"
)

// State is what one breaker instance knows of what it guards. It survives
// reloads and is safe for concurrent use.
type State struct {
	name   string
	config Config
	random func() float64
	tell   func(exchange.Event) error

	// calm is the term at hand while the breaker is closed by itself, so that
	// calls are let by without the lock; nil in every other state.
	calm atomic.Pointer[term]

	// telling is held by the one goroutine that tells, before mu.
	telling sync.Mutex

	// mu guards all below. gobreaker is only ever called under it, so that its
	// callbacks may touch everything here and take no lock themselves, and no
	// call slips in between our word on the pause and gobreaker's.
	mu      sync.Mutex
	forced  bool
	closed  bool // what it is forced to
	machine *machine
	total   exchange.Tally   // since the State was made
	trip    *Trip            // the last; nil: it never opened by itself
	news    []exchange.Event // not yet told
}

// NewState returns a closed breaker. name is the instance's ("standard@orders"),
// random draws from [0,1), and tell hears of every transition, one at a time
// and in order: of one that is forced before it is made, and its error prevents
// that. It may look at the State but not force it. c must be valid.
func NewState(name string, c Config, random func() float64, tell func(exchange.Event) error) *State {
	c.Line = 0 // lines move with a reload, a State does not
	s := &State{name: name, config: c, random: random, tell: tell}
	s.begin()
	return s
}

// Name returns the name of the instance.
func (s *State) Name() string { return s.name }

// begin goes on with a machine that knows nothing yet. Calls of an earlier one
// may still end, and say nothing of this one.
func (s *State) begin() {
	s.machine = s.newMachine()
	s.publish()
}

// publish keeps calm what it is to be.
func (s *State) publish() {
	if now := s.machine.term; !s.forced && now.state == gobreaker.StateClosed {
		s.calm.Store(now)
		return
	}
	s.calm.Store(nil)
}

// stateWord returns the state that holds now.
func (s *State) stateWord() string {
	switch {
	case !s.forced:
		return s.machine.term.state.String()
	case s.closed:
		return gobreaker.StateClosed.String()
	}
	return gobreaker.StateOpen.String()
}

// look returns why a call may not pass now, and how long that will last; no
// reason if it may.
func (s *State) look() (exchange.Reason, time.Duration) {
	if s.calm.Load() != nil {
		return "", 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.blocked()
}

func (s *State) blocked() (exchange.Reason, time.Duration) {
	m := s.machine
	switch {
	case s.forced && s.closed, !s.forced && m.term.state == gobreaker.StateClosed:
		return "", 0
	case s.forced:
		return exchange.BreakerOpen, s.config.OpenFor.Base // nobody knows; ask now and then
	}
	if m.term.state == gobreaker.StateOpen {
		if left := time.Until(m.openUntil); left > 0 {
			return exchange.BreakerOpen, left
		}
	}
	if m.probes >= s.config.HalfOpen.MaxProbes && time.Since(m.latest) < probeTime {
		return exchange.BreakerProbeFull, 0
	}
	return "", 0
}

// ticket is a call that was let by: the term it began in, or nil where nothing
// of it counts; and the round, of a probe.
type ticket struct {
	term  *term
	round int
}

// probe reports whether the call finds out if what is behind has recovered.
func (t ticket) probe() bool { return t.term != nil && t.term.state == gobreaker.StateHalfOpen }

// enter lets a call by, which then must leave, or returns why not.
func (s *State) enter() (ticket, exchange.Reason, time.Duration) {
	if now := s.calm.Load(); now != nil {
		return ticket{term: now}, "", 0
	}
	t, reason, wait, moved := s.admit()
	if moved {
		s.tellNews()
	}
	return t, reason, wait
}

func (s *State) admit() (t ticket, reason exchange.Reason, wait time.Duration, moved bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if reason, wait := s.blocked(); reason != "" || s.forced {
		return ticket{}, reason, wait, false
	}
	m := s.machine
	if m.term.state == gobreaker.StateOpen {
		m.cb.State() // moves on
	}
	t = ticket{term: m.term}
	switch m.term.state {
	case gobreaker.StateOpen: // within the nanosecond that is gobreaker's own pause
		return ticket{}, exchange.BreakerOpen, 0, false
	case gobreaker.StateHalfOpen:
		t.round = m.probe(s.config.HalfOpen.MaxProbes)
	}
	return t, "", 0, len(s.news) > 0
}

// leave counts how the call of t ended: nil, errFailed or errExcluded; and
// whether it was slow.
func (s *State) leave(t ticket, end error, slow bool) {
	if t.term != nil && s.settle(t, end, slow) {
		s.tellNews()
	}
}

func (s *State) settle(t ticket, end error, slow bool) (moved bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := t.term.machine
	if m != s.machine {
		return false
	}
	if t.probe() && t.round == m.round {
		m.probes--
	}
	if t.term == m.term && end != errExcluded {
		s.count(m, end != nil, slow)
	}
	return len(s.news) > 0
}
