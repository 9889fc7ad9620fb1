package breaker

import (
	"errors"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"

	"sidecar/internal/exchange"
)

// State is what one breaker instance knows of its upstream. It survives
// reloads and is safe for concurrent use.
type State struct {
	name   string
	config Config
	random func() float64
	tell   func(exchange.Event) error

	// telling is held by the one goroutine that tells, before mu.
	telling sync.Mutex

	// mu guards all below. gobreaker is only ever called under it, so that its
	// callbacks may touch everything here and take no lock themselves, and no
	// call slips in between our word on the pause and gobreaker's.
	mu      sync.Mutex
	forced  bool
	closed  bool // what it is forced to
	machine *machine
	news    []exchange.Event // not yet told
}

// NewState returns a closed breaker. name is the instance's ("standard@orders"),
// random draws from [0,1), and tell hears of every transition, one at a time
// and in order: of one that is forced before it is made, and its error prevents
// that. It may look at the State but not force it. c must be valid.
func NewState(name string, c Config, random func() float64, tell func(exchange.Event) error) *State {
	c.Line = 0 // lines move with a reload, a State does not
	s := &State{name: name, config: c, random: random, tell: tell}
	s.machine = s.newMachine()
	return s
}

// Status is a breaker as an operator sees it.
type Status struct {
	Name   string `json:"name"`
	State  string `json:"state"` // closed, open or half-open
	Forced bool   `json:"forced"`
	// Shadow: it refuses nothing, whatever its state.
	Shadow bool `json:"shadow,omitempty"`

	// Of the window; Requests are those that counted, Failures among them.
	Requests int `json:"requests"`
	Failures int `json:"failures"`

	ConsecutiveFailures int `json:"consecutiveFailures"`
	Probes              int `json:"probes"` // in flight

	// OpenUntil is when the breaker will probe; zero unless it is open by
	// itself.
	OpenUntil time.Time `json:"openUntil,omitzero"`
}

// Status returns how the breaker stands now. A breaker whose pause is over is
// half-open from then on, whether or not a call has come.
func (s *State) Status() Status {
	defer s.tellNews()
	s.mu.Lock()
	defer s.mu.Unlock()

	m, now := s.machine, time.Now()
	if m.state == gobreaker.StateOpen && !now.Before(m.openUntil) {
		m.cb.State() // moves on
	}
	requests, failures := m.window.sum(now)
	st := Status{
		Name: s.name, State: s.stateWord(), Forced: s.forced, Shadow: s.config.Mode == exchange.ModeShadow,
		Requests: requests, Failures: failures, ConsecutiveFailures: m.consecutive, Probes: m.probes,
	}
	if m.state == gobreaker.StateOpen {
		st.OpenUntil = m.openUntil
	}
	return st
}

// stateWord returns the state that holds now.
func (s *State) stateWord() string {
	switch {
	case !s.forced:
		return s.machine.state.String()
	case s.closed:
		return gobreaker.StateClosed.String()
	}
	return gobreaker.StateOpen.String()
}

// look returns why a call may not pass now, and how long that will last; no
// reason if it may.
func (s *State) look() (exchange.Reason, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.blocked()
}

func (s *State) blocked() (exchange.Reason, time.Duration) {
	m := s.machine
	switch {
	case s.forced && s.closed, !s.forced && m.state == gobreaker.StateClosed:
		return "", 0
	case s.forced:
		return exchange.BreakerOpen, s.config.OpenFor.Base // nobody knows; ask now and then
	}
	if m.state == gobreaker.StateOpen {
		if left := time.Until(m.openUntil); left > 0 {
			return exchange.BreakerOpen, left
		}
	}
	if m.probes >= s.config.HalfOpen.MaxProbes {
		return exchange.BreakerProbeFull, 0
	}
	return "", 0
}

// ticket is a call that was let by.
type ticket struct {
	machine    *machine // nil: nothing of the call counts
	generation uint64
	probe      bool
	done       func(error)
}

// enter lets a call by, which then must leave, or returns why not.
func (s *State) enter() (ticket, exchange.Reason, time.Duration) {
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
	done, err := m.cb.Allow()
	moved = len(s.news) > 0
	switch {
	case errors.Is(err, gobreaker.ErrTooManyRequests):
		return ticket{}, exchange.BreakerProbeFull, 0, moved
	case err != nil:
		return ticket{}, exchange.BreakerOpen, 0, moved
	}
	t = ticket{machine: m, generation: m.generation, probe: m.state == gobreaker.StateHalfOpen, done: done}
	if t.probe {
		m.probes++
	}
	return t, "", 0, moved
}

// leave counts how the call of t ended: nil, errFailed or errExcluded.
func (s *State) leave(t ticket, end error) {
	if t.machine != nil && s.settle(t, end) {
		s.tellNews()
	}
}

func (s *State) settle(t ticket, end error) (moved bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := t.machine
	if m != s.machine {
		return false
	}
	if t.probe {
		m.probes--
	}
	if t.generation != m.generation {
		return false // gobreaker would not count it, but look at its clock and end the pause
	}
	if m.state == gobreaker.StateClosed {
		m.count(end)
	}
	t.done(end)
	return len(s.news) > 0
}
