package upstream

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"sidecar/internal/exchange"
)

// checks are what an endpoint has answered when it was asked how it is.
type checks struct {
	unhealthy bool
	asked     bool
	good      bool   // the last answer
	streak    int    // answers like the last one, in a row
	problem   string // with the last answer; empty when it was good
}

// watch has e asked how it is from now on, if the policy wants it and it is not
// so already. u.mu is held.
func (u *Upstream) watch(e *endpoint) {
	if u.config.Health == nil || u.run == nil || e.watching != nil {
		return
	}
	ctx, stop := context.WithCancel(u.run)
	e.watching = stop
	go func() {
		ask := e.asker(*u.config.Health)
		for {
			err := ask(ctx)
			if ctx.Err() != nil {
				return
			}
			u.change(func(now time.Time) bool { return ctx.Err() == nil && u.answered(e, err, now) })
			if !sleep(ctx, u.jittered(u.config.Health.Interval)) {
				return
			}
		}
	}()
}

// asker returns a function that asks e once, over a connection of its own: a
// pool that is full or broken says nothing of the endpoint.
func (e *endpoint) asker(h Health) func(context.Context) error {
	t := e.transports.newPlain()
	if e.scheme == "https" {
		t = e.transports.newTLS("h2", "http/1.1")
	}
	t.DisableKeepAlives = true
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeoutCause(ctx, h.Timeout, fmt.Errorf("no answer within %v", h.Timeout))
		defer cancel()
		var err error
		if h.Path == "" {
			err = e.connects(ctx)
		} else {
			err = e.answers(ctx, t, h.Path)
		}
		if err != nil && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	}
}

func (e *endpoint) connects(ctx context.Context) error {
	at := url.URL{Scheme: e.scheme, Host: e.host}
	nc, err := e.transports.dial(ctx, "tcp", hostPort(at.String()))
	if err != nil {
		return err
	}
	return nc.Close()
}

func (e *endpoint) answers(ctx context.Context, t *http.Transport, path string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, e.scheme+"://"+e.host+path, nil)
	if err != nil {
		return err
	}
	r.Header.Set("User-Agent", "sidecar-health")
	resp, err := t.RoundTrip(r) // which follows no redirects
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("status %d, want 200 to 299", resp.StatusCode)
	}
	return nil
}

// answered notes how e answered, and reports whether that changes its condition.
// u.mu is held.
func (u *Upstream) answered(e *endpoint, err error, now time.Time) bool {
	c, h := &e.checks, u.config.Health
	good := err == nil
	if good {
		e.passed++
	} else {
		e.failed++
	}
	if good != c.good {
		c.streak = 0
	}
	need := h.UnhealthyAfter
	if good {
		need = h.HealthyAfter
	}
	if !c.asked {
		need = 1
	}
	c.asked, c.good, c.problem = true, good, ""
	if !good {
		c.problem = exchange.Unquoted(err)
	}
	if c.streak++; c.streak < need || c.unhealthy != good {
		return false
	}
	from := e.state(now)
	c.unhealthy = !good
	if good {
		u.ramp(e, now)
	}
	detail := fmt.Sprintf("good checks in a row: %d", c.streak)
	if !good {
		detail = fmt.Sprintf("bad checks in a row: %d; the last: %s", c.streak, c.problem)
	}
	u.noteState(e, from, detail, !good)
	return true
}
