package breaker

import (
	"errors"
	"fmt"
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

// Force holds the breaker "open" or "closed", or returns it to "auto": closed,
// with nothing counted yet. who asked is told in the Event, before it is done;
// where that cannot be told, the error says so and nothing has changed. A word
// that changes nothing is no event.
func (s *State) Force(state string, who exchange.Who) error {
	if state != "open" && state != "closed" && state != "auto" {
		return fmt.Errorf("state must be open, closed or auto, got %q", state)
	}
	defer s.tellNews()
	s.telling.Lock() // one at a time: what is told is what is done
	defer s.telling.Unlock()

	e, changes := s.forcing(state, who)
	if !changes {
		return nil
	}
	if err := s.tell(e); err != nil {
		return fmt.Errorf("circuit breaker %q is unchanged: %w", s.name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// A machine of its own for each term: calls of an earlier one may still
	// end, and say nothing of this one. What the earlier one did while this was
	// told is over before anybody heard of it.
	s.forced, s.closed = state != "auto", state == "closed"
	s.machine, s.news = s.newMachine(), nil
	return nil
}

// forcing returns what is to be told of that word, when all before it was told,
// and whether it changes anything. s.telling is held.
func (s *State) forcing(state string, who exchange.Who) (e exchange.Event, changes bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.news) > 0 {
		s.tellFirst()
	}
	to, detail := state, "forced"
	if state == "auto" {
		to, detail = gobreaker.StateClosed.String(), "no longer forced"
	}
	changes = (state != "auto") != s.forced || (state == "closed") != s.closed
	e = s.event(s.stateWord(), to, detail)
	e.Who = who
	return e, changes
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

// note keeps an event for tellNews.
func (s *State) note(from, to, detail string) {
	s.news = append(s.news, s.event(from, to, detail))
}

func (s *State) event(from, to, detail string) exchange.Event {
	shadow := s.config.Mode == exchange.ModeShadow
	if shadow {
		detail += "; in shadow, nothing is refused"
	}
	return exchange.Event{
		Time: time.Now(), Kind: exchange.CircuitBreaker, Name: s.name,
		From: from, To: to, Detail: detail,
		Bad: to == gobreaker.StateOpen.String() && !shadow, Shadow: shadow,
	}
}

// tellNews tells what there is to tell. Whoever finds another telling leaves it
// to them, and waits for nothing.
func (s *State) tellNews() {
	for s.hasNews() && s.telling.TryLock() {
		s.tellAll()
	}
}

func (s *State) hasNews() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.news) > 0
}

func (s *State) tellAll() {
	defer s.telling.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.news) > 0 {
		s.tellFirst()
	}
}

// tellFirst tells the first of the news, with s.mu let go. s.telling is held.
func (s *State) tellFirst() {
	e := s.news[0]
	s.news = s.news[1:]
	s.mu.Unlock()
	defer s.mu.Lock()
	_ = s.tell(e) // it has happened already
}
