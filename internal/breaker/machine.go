package breaker

import (
	"fmt"
	"time"

	"github.com/sony/gobreaker/v2"

	"sidecar/internal/exchange"
)

// machine is gobreaker's state machine and what it lacks: gobreaker's own
// window drops outcomes that began a window ago and forgets consecutive
// failures at its edge, it knows nothing of slow calls, its pause never grows,
// and one number of it is both how many calls may probe and how many must
// succeed. So it hears verdicts only: what opens the breaker, and what a
// half-open term came to. State.mu guards it.
type machine struct {
	cb   *gobreaker.TwoStepCircuitBreaker[struct{}]
	term *term

	window      exchange.Recent[exchange.Tally]
	consecutive int // failures in a row, however far apart

	openUntil time.Time
	pauses    int // since it was last closed
	why       string

	probes int            // in flight, of this round
	probed exchange.Tally // those of this term that ended
	latest time.Time      // when a probe last began
	round  int            // how often probes were given up on
}

// probeTime is how long probes may hold up others. Not all ever end: a stream is
// answered when its server likes, and a client may take for ever to send a body.
const probeTime = 10 * time.Second

// probe returns the round of a probe that begins now. Where there are so many
// already, they have had their time, and a new round begins.
func (m *machine) probe(most int) (round int) {
	if m.probes >= most {
		m.probes, m.round = 0, m.round+1
	}
	m.probes, m.latest = m.probes+1, time.Now()
	return m.round
}

// term is the time that a machine spends in one state without a break: an
// outcome counts in the term its call began in.
type term struct {
	machine *machine
	state   gobreaker.State
}

func (s *State) newMachine() *machine {
	m := &machine{window: exchange.NewRecent[exchange.Tally](s.config.Window, time.Now())}
	m.term = &term{m, gobreaker.StateClosed}
	m.cb = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Name:        s.name,
		MaxRequests: 1, // it is told of a half-open term once
		// openUntil decides; gobreaker is not asked before then, and must not
		// say no after it.
		Timeout:       time.Nanosecond,
		ReadyToTrip:   func(gobreaker.Counts) bool { return true }, // or it is not told
		OnStateChange: func(_ string, from, to gobreaker.State) { s.moved(m, from, to) },
	})
	return m
}

// tell has gobreaker move: nil is for the better.
func (m *machine) tell(verdict error) {
	if done, err := m.cb.Allow(); err == nil {
		done(verdict)
	}
}

// count counts an outcome of this term, and moves if that is to be. s.mu is
// held.
func (s *State) count(m *machine, failed, slow bool) {
	s.total.Add(failed, slow)
	m.consecutive++
	if !failed {
		m.consecutive = 0
	}
	if m.term.state == gobreaker.StateHalfOpen {
		s.probed(m, failed, slow)
		return
	}
	m.window.Now().Add(failed, slow)
	if !failed && !slow {
		return // a good call opens nothing
	}
	now := time.Now()
	if m.why = s.verdict(m, m.seen(now), failed, slow); m.why != "" {
		m.tell(errFailed)
	}
}

// seen returns what the window holds.
func (m *machine) seen(now time.Time) (all exchange.Tally) {
	for _, part := range m.window.All(now) {
		all = all.Plus(part)
	}
	return all
}

// verdict returns why a call that failed, or was slow, opens the breaker; ""
// if it does not.
func (s *State) verdict(m *machine, seen exchange.Tally, failed, slow bool) string {
	c, enough := s.config, seen.Requests >= s.config.MinRequests
	switch {
	case failed && c.ConsecutiveFailures > 0 && m.consecutive >= c.ConsecutiveFailures:
		return fmt.Sprintf("%d failures in a row", m.consecutive)
	case failed && enough && c.FailurePercent > 0 && seen.Errors*100 >= c.FailurePercent*seen.Requests:
		return fmt.Sprintf("%d of %d requests failed within %v", seen.Errors, seen.Requests, c.Window)
	case slow && enough && c.Slow.tooMany(seen): // slow: there is a Slow
		return fmt.Sprintf("%d of %d requests within %v took longer than %v", seen.Slow, seen.Requests, c.Window, c.Slow.Over)
	}
	return ""
}

// probed counts a probe: the first that fails opens the breaker again, and
// enough that succeed close it, unless that took them too long.
func (s *State) probed(m *machine, failed, slow bool) {
	m.probed.Add(failed, slow)
	switch c := s.config; {
	case failed:
		m.why = "a probe failed"
		m.tell(errFailed)
	case m.probed.Requests < c.HalfOpen.Successes:
	case c.Slow != nil && c.Slow.tooMany(m.probed):
		m.why = fmt.Sprintf("%d of %d probes took longer than %v", m.probed.Slow, m.probed.Requests, c.Slow.Over)
		m.tell(errFailed)
	default:
		m.tell(nil)
	}
}

// moved follows gobreaker's state, which calls it.
func (s *State) moved(m *machine, from, to gobreaker.State) {
	now := time.Now()
	var detail string
	switch to {
	case gobreaker.StateOpen:
		pause := s.pause(m.pauses)
		m.openUntil = now.Add(pause)
		m.pauses++
		s.trip = m.tripped(now)
		detail = fmt.Sprintf("%v; open for %v", s.trip, pause.Round(time.Millisecond))
	case gobreaker.StateHalfOpen:
		m.probed = exchange.Tally{}
		detail = fmt.Sprintf("at most %d probes at once", s.config.HalfOpen.MaxProbes)
	case gobreaker.StateClosed:
		m.window = exchange.NewRecent[exchange.Tally](s.config.Window, now)
		m.consecutive, m.pauses = 0, 0
		detail = fmt.Sprintf("%d probes succeeded", m.probed.Requests)
	}
	m.term = &term{m, to}
	s.publish()
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
