package upstream

import (
	"math/rand/v2"
	"net/http"
	"slices"

	"sidecar/internal/exchange"
)

// choose returns the endpoint that r goes to, or what r's Picker says where it
// allows none. One that the exchange has called already is the last choice: a
// retry, or a hedge, should not meet the same trouble.
func (u *Upstream) choose(r *http.Request) (*endpoint, error) {
	v := u.view.Load()
	picker := exchange.PickerOf(r.Context())
	if v.only != nil && picker == nil {
		return v.only, nil
	}
	record := exchange.From(r.Context())
	c := choice{upstream: u, view: v, picker: picker, called: record.Called()}
	c.atRandom = u.config.Balance == LeastRequest || len(c.called) > 0
	e := c.make()
	if e == nil {
		return nil, picker.None()
	}
	record.Call(e.label)
	return e, nil
}

// choice is that of one call.
type choice struct {
	upstream *Upstream
	view     *view
	picker   exchange.Picker // nil: nobody has a word in it
	called   []string        // by the same exchange
	// Whoever calls again takes nobody's turn: the next exchange would meet the
	// endpoint that failed this one, and so would every first call.
	atRandom bool
}

// make returns the endpoint to be called; nil: none is allowed.
func (c *choice) make() *endpoint {
	// Whoever was allowed and then is not has taken no place: another is asked
	// for, but not for ever.
	for range len(c.view.taken) + 1 {
		s, ok := c.draw()
		if !ok {
			return nil
		}
		if c.picker == nil || c.picker.Pick(s.label) {
			return s.endpoint
		}
	}
	return nil
}

// draw returns one of those that are allowed, if there is any: rather one that
// was not called yet.
func (c *choice) draw() (slot, bool) {
	s, ok := c.balance()
	if !ok && len(c.called) > 0 {
		c.called = nil // all were
		s, ok = c.balance()
	}
	return s, ok
}

func (c *choice) balance() (slot, bool) {
	a, ok := c.turn(nil)
	if !ok || c.upstream.config.Balance != LeastRequest {
		return a, ok
	}
	b, ok := c.turn(a.endpoint)
	if ok && b.lessBusy(a) {
		return b, true
	}
	return a, true
}

// lessBusy reports whether s would, with one call more, still have no more to
// do for its share than the other one has. The draw goes by shares already, so
// a mere tie is no reason to change it.
func (s slot) lessBusy(than slot) bool {
	return (s.inFlight.Load()+1)*than.share <= than.inFlight.Load()*s.share
}

// turn returns whose turn it is, of those that may be called, but not but.
func (c *choice) turn(but *endpoint) (slot, bool) {
	// Where some may not be called, turns are drawn until one may: the next one
	// in line would get all that its neighbour does not.
	for range min(2*len(c.view.taken), maxDraws) {
		if s := c.view.wheel[c.position()]; c.may(s, but) {
			return s, true
		}
	}
	n := uint64(len(c.view.taken))
	for i, from := uint64(0), rand.Uint64N(n); i < n; i++ {
		if s := c.view.taken[(from+i)%n]; c.may(s, but) {
			return s, true
		}
	}
	return slot{}, false
}

// maxDraws is how many turns are drawn before each endpoint is asked.
const maxDraws = 32

func (c *choice) position() uint64 {
	n := uint64(len(c.view.wheel))
	if c.atRandom {
		return rand.Uint64N(n)
	}
	return (c.upstream.next.Add(1) - 1) % n
}

func (c *choice) may(s slot, but *endpoint) bool {
	return s.endpoint != but && !slices.Contains(c.called, s.label) && (c.picker == nil || c.picker.Allows(s.label))
}
