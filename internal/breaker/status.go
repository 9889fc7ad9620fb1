package breaker

import (
	"time"

	"github.com/sony/gobreaker/v2"

	"sidecar/internal/exchange"
)

// Status is a breaker as an operator sees it.
type Status struct {
	Name   string `json:"name"`
	State  string `json:"state"` // closed, open or half-open
	Forced bool   `json:"forced"`
	// Shadow: it refuses nothing, whatever its state.
	Shadow bool `json:"shadow,omitempty"`

	// Of the window; Requests are those that counted, Failures among them, and
	// Slow those that took longer than slow.over, failed or not.
	Requests int `json:"requests"`
	Failures int `json:"failures"`
	Slow     int `json:"slow"`

	ConsecutiveFailures int `json:"consecutiveFailures"`

	Probes    int `json:"probes"`              // in flight, but for those given up on
	Successes int `json:"successes,omitempty"` // of probes, while it is half-open

	// OpenUntil is when the breaker will probe; zero unless it is open by
	// itself.
	OpenUntil time.Time `json:"openUntil,omitzero"`

	// LastTrip is why it last opened by itself; nil: it never did.
	LastTrip *Trip `json:"lastTrip,omitempty"`

	// Total counts since the breaker was made, as Requests, Failures and Slow do;
	// it only ever grows.
	Total exchange.Tally `json:"-"`
}

// Status returns how the breaker stands now. A breaker whose pause is over is
// half-open from then on, whether or not a call has come.
func (s *State) Status() Status {
	defer s.tellNews()
	s.mu.Lock()
	defer s.mu.Unlock()

	m, now := s.machine, time.Now()
	if m.term.state == gobreaker.StateOpen && !now.Before(m.openUntil) {
		m.cb.State() // moves on
	}
	seen := m.seen(now)
	st := Status{
		Name: s.name, State: s.stateWord(), Forced: s.forced, Shadow: s.config.Mode == exchange.ModeShadow,
		Requests: seen.Requests, Failures: seen.Errors, Slow: seen.Slow, ConsecutiveFailures: m.consecutive,
		Probes: m.probes, LastTrip: s.trip, Total: s.total,
	}
	switch m.term.state {
	case gobreaker.StateOpen:
		st.OpenUntil = m.openUntil
	case gobreaker.StateHalfOpen:
		st.Successes = m.probed.Requests
	}
	return st
}
