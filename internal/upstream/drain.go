package upstream

import (
	"fmt"
	"slices"
	"time"

	"sidecar/internal/exchange"
)

// Drain has the endpoint called label, a host:port, get no new calls, or get
// them again. Those in flight go on. It holds until the endpoint is gone from
// its name's answer, or the upstream's policy changes. who asked is told in the
// Event, before it is done; where that cannot be told, the error says so and
// nothing has changed. The last endpoint that works is not drained: the error is
// ErrLast. Of an unknown one it is ErrUnknown. What changes nothing is no event.
func (u *Upstream) Drain(label string, on bool, who exchange.Who) error {
	defer u.tellNews()
	u.telling.Lock() // one at a time: what is told is what is done
	defer u.telling.Unlock()

	e, changes, err := u.draining(label, on)
	if err != nil || !changes {
		return err
	}
	e.Who = who
	if err := u.tell(e); err != nil {
		return fmt.Errorf("endpoint %q is unchanged: %w", label, err)
	}
	u.changeLocked(func(now time.Time) bool {
		// It may have left in the meantime.
		if i := slices.IndexFunc(u.endpoints, func(e *endpoint) bool { return e.label == label }); i >= 0 {
			u.endpoints[i].drained = on
			if !on {
				u.ramp(u.endpoints[i], now)
			}
		}
		return true
	})
	return nil
}

// draining returns what is to be told of a Drain, when all before it was told,
// and whether it changes anything. u.telling is held.
func (u *Upstream) draining(label string, on bool) (e exchange.Event, changes bool, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.tellAll()
	i := slices.IndexFunc(u.endpoints, func(e *endpoint) bool { return e.label == label })
	if i < 0 {
		return e, false, ErrUnknown
	}
	that := u.endpoints[i]
	if on && !that.drained && !u.canSpare(that) {
		return e, false, fmt.Errorf("endpoint %q %w", label, ErrLast)
	}
	now := time.Now()
	after := that.condition
	after.drained = on
	e = u.event(that, that.state(now), after.state(now), "no longer drained")
	if on {
		e.Detail = fmt.Sprintf("drained, with %d calls in flight", that.inFlight.Load())
	}
	return e, that.drained != on, nil
}

// canSpare reports whether calls have somewhere else to go than to that: where
// that works, to one that works. u.mu is held.
func (u *Upstream) canSpare(that *endpoint) bool {
	return slices.ContainsFunc(u.endpoints, func(e *endpoint) bool {
		return e != that && !e.drained && e.weight > 0 && (!e.isOut() || that.isOut())
	})
}
