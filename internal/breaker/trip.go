package breaker

import (
	"fmt"
	"time"

	"github.com/sony/gobreaker/v2"
)

// Trip is why a breaker opened by itself, in the numbers of that moment: they
// have changed by the time anybody can ask.
type Trip struct {
	Time time.Time `json:"time"`
	Why  string    `json:"why"`

	// Of the window or, where a probe opened it again, of the probes.
	Requests int `json:"requests"`
	Failures int `json:"failures"`
	Slow     int `json:"slow"`

	ConsecutiveFailures int `json:"consecutiveFailures"`
}

// tripped returns the numbers with which m opens now.
func (m *machine) tripped(now time.Time) *Trip {
	seen := m.probed
	if m.term.state == gobreaker.StateClosed {
		seen = m.seen(now)
	}
	return &Trip{
		Time: now, Why: m.why,
		Requests: seen.Requests, Failures: seen.Errors, Slow: seen.Slow, ConsecutiveFailures: m.consecutive,
	}
}

// String returns why, and the numbers.
func (t *Trip) String() string {
	return fmt.Sprintf("%s (requests %d, failures %d, slow %d, in a row %d)", t.Why, t.Requests, t.Failures, t.Slow, t.ConsecutiveFailures)
}
