package breaker

import (
	"errors"
	"fmt"
	"time"

	"github.com/sony/gobreaker/v2"
)

// machine is gobreaker's state machine and what it lacks: gobreaker's own
// window drops outcomes that began a window ago and forgets consecutive
// failures at its edge, its pause never grows, and it bounds probes by the
// successes it waits for. State.mu guards it.
type machine struct {
	cb         *gobreaker.TwoStepCircuitBreaker[struct{}]
	state      gobreaker.State
	generation uint64 // of the state: an outcome counts in the one its call began in

	window      window
	consecutive int // failures in a row, however far apart

	openUntil time.Time
	pauses    int    // since it was last closed
	why       string // it trips
	probes    int    // in flight
}

func (s *State) newMachine() *machine {
	m := &machine{window: newWindow(s.config.Window, time.Now())}
	m.cb = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Name:        s.name,
		MaxRequests: uint32(s.config.HalfOpen.Successes),
		// openUntil decides; gobreaker is not asked before then, and must not
		// say no after it.
		Timeout:       time.Nanosecond,
		IsExcluded:    func(err error) bool { return errors.Is(err, errExcluded) },
		ReadyToTrip:   func(gobreaker.Counts) bool { return s.ready(m) },
		OnStateChange: func(_ string, from, to gobreaker.State) { s.moved(m, from, to) },
	})
	return m
}

// count counts an outcome in the closed state.
func (m *machine) count(end error) {
	switch end {
	case errExcluded:
		return
	case nil:
		m.consecutive = 0
	default:
		m.consecutive++
	}
	m.window.add(time.Now(), end != nil)
}

// ready reports whether a failure opens the breaker, and keeps the numbers:
// they will have changed by the time anybody can ask. gobreaker calls it.
func (s *State) ready(m *machine) bool {
	c := s.config
	requests, failures := m.window.sum(time.Now())
	switch {
	case c.ConsecutiveFailures > 0 && m.consecutive >= c.ConsecutiveFailures:
		m.why = fmt.Sprintf("%d failures in a row", m.consecutive)
	case c.FailurePercent > 0 && requests >= c.MinRequests && failures*100 >= c.FailurePercent*requests:
		m.why = fmt.Sprintf("%d of %d requests failed within %v", failures, requests, c.Window)
	default:
		return false
	}
	return true
}

// moved follows gobreaker's state, which calls it.
func (s *State) moved(m *machine, from, to gobreaker.State) {
	now := time.Now()
	m.state = to
	m.generation++
	var detail string
	switch to {
	case gobreaker.StateOpen:
		pause := s.pause(m.pauses)
		m.openUntil = now.Add(pause)
		m.pauses++
		if from == gobreaker.StateHalfOpen {
			m.why = "a probe failed"
		}
		detail = fmt.Sprintf("%s; open for %v", m.why, pause.Round(time.Millisecond))
	case gobreaker.StateHalfOpen:
		detail = fmt.Sprintf("at most %d probes at once", s.config.HalfOpen.MaxProbes)
	case gobreaker.StateClosed:
		m.window = newWindow(s.config.Window, now)
		m.consecutive, m.pauses = 0, 0
		detail = fmt.Sprintf("%d probes succeeded", s.config.HalfOpen.Successes)
	}
	s.note(from.String(), to.String(), detail)
}

// pause returns how long the breaker stays open after it already opened n
// times in a row. The jitter comes after the cap: without it, replicas that
// have reached Max would all probe at once.
func (s *State) pause(n int) time.Duration {
	c := s.config.OpenFor
	d := c.Base
	for ; n > 0 && d < c.Max; n-- {
		d *= 2
	}
	d = min(d, c.Max)
	share := float64(c.JitterPercent) / 100 * (2*s.random() - 1)
	return d + time.Duration(share*float64(d))
}
