package breaker

import (
	"net/http"
	"time"

	"sidecar/internal/exchange"
)

// present are the endpoints that there are just now, with their breakers.
type present struct {
	*Endpoints
	hosts func() []string
}

// look returns why none of the endpoints may be called now, and how long that
// will last at least; no reason if one may, or if there is none to judge.
func (p *present) look() (reason exchange.Reason, wait time.Duration) {
	hosts := p.hosts()
	for _, host := range hosts {
		why, left := p.of(host, hosts).look()
		if why == "" {
			return "", 0
		}
		if reason == "" || left < wait {
			reason, wait = why, left
		}
	}
	return reason, wait
}

// countEach is Count where each endpoint has a breaker: the upstream asks it
// whom it may call, and the one that it picks hears how the call ended.
func (b *Breaker) countEach(next http.RoundTripper) http.RoundTripper {
	return exchange.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
		// Also here: a fault may answer before anybody picks.
		if reason, wait := b.look(); reason != "" && !b.shadow() {
			exchange.CloseBody(r)
			return nil, b.refusal(reason, wait)
		}
		c := &choice{breaker: b, hosts: b.each.hosts(), record: exchange.From(r.Context())}
		w, r := b.config.Slow.begin(r.WithContext(exchange.WithPicker(r.Context(), c)))
		end, slow := errExcluded, false
		defer func() {
			c.leave(end, slow)
			b.lastWord(r, end)
		}()

		resp, err := next.RoundTrip(r)
		end, slow = b.judge(r, resp, err), w.slow()
		return resp, err
	})
}

// choice is one call, and whom it goes to. It is an exchange.Picker.
type choice struct {
	breaker *Breaker
	hosts   []string
	record  *exchange.Record
	state   *State // of the endpoint that was picked; nil: none was
	ticket  ticket
}

// Allows implements exchange.Picker.
func (c *choice) Allows(endpoint string) bool {
	if c.breaker.shadow() {
		return true
	}
	reason, _ := c.of(endpoint).look()
	return reason == ""
}

// Pick implements exchange.Picker.
func (c *choice) Pick(endpoint string) bool {
	if c.state != nil { // it was not called after all
		c.state.leave(c.ticket, errExcluded, false)
		c.state = nil
	}
	s := c.of(endpoint)
	t, reason, _ := s.enter()
	if reason != "" && !c.breaker.shadow() {
		return false
	}
	if t.probe() && len(c.hosts) == 1 && !c.breaker.shadow() {
		c.record.CallOnce() // where there are others, the next attempt goes to one of them
	}
	c.state, c.ticket = s, t
	return true
}

// None implements exchange.Picker.
func (c *choice) None() error {
	reason, wait := c.breaker.look()
	if reason == "" { // one has come back in the meantime
		reason = exchange.BreakerOpen
	}
	return c.breaker.refusal(reason, wait)
}

func (c *choice) of(endpoint string) *State { return c.breaker.each.of(endpoint, c.hosts) }

// leave counts how the call ended, with whom it went to. Where a fault stood in
// for the call, that is the next endpoint in turn: a drill opens breakers as the
// calls that it breaks would have.
func (c *choice) leave(end error, slow bool) {
	if c.state == nil && end != errExcluded {
		c.standIn()
	}
	if c.state != nil {
		c.state.leave(c.ticket, end, slow)
	}
}

// standIn picks an endpoint for a call that went to none.
func (c *choice) standIn() {
	for range c.hosts {
		turn := c.breaker.each.turn.Add(1) % uint64(len(c.hosts))
		if t, reason, _ := c.of(c.hosts[turn]).enter(); reason == "" {
			c.state, c.ticket = c.of(c.hosts[turn]), t
			return
		}
	}
}
