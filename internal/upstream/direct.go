package upstream

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"

	"sidecar/internal/exchange"
)

// direct calls one http:// endpoint without net/http's Transport, which hands
// every call to two goroutines of the connection and back: it writes and reads
// on the caller's goroutine. It takes only calls without anything out of the
// ordinary (see compose); the Transport is there for all others.
type direct struct {
	host string // of the endpoint, as it stands in its URL
	addr string
	dial func(ctx context.Context, network, addr string) (net.Conn, error)
	pool pool

	headTimeout time.Duration // of a call, once it is sent; 0: none
}

// roundTrip sends text, which is r, and counts in a how often it began again.
func (d *direct) roundTrip(r *http.Request, text []byte, a *exchange.Attempt) (*http.Response, error) {
	ctx := r.Context()
	a.Replays = 0
	w := d.pool.get()
	for seen := connecting; ; { // how far r has come, over any connection
		if w == nil {
			nc, err := d.dial(ctx, "tcp", d.addr)
			if err != nil {
				return nil, d.failure(ctx, seen, err)
			}
			w = newWire(nc, &d.pool)
		}
		resp, err := w.exchange(r, a, text, d.headTimeout)
		if err == nil {
			return resp, nil
		}
		if err == errNotQuiet { // nothing was sent
			w = d.pool.get()
			continue
		}
		seen = max(seen, w.progress())
		if ctx.Err() != nil || !w.mayReplay(r) {
			return nil, d.failure(ctx, seen, err)
		}
		a.Replays++
		w = nil // a fresh one, which cannot fail for the same reason
	}
}

// failure returns what err means to a call that had come as far as p.
func (d *direct) failure(ctx context.Context, p progress, err error) error {
	if ctx.Err() != nil {
		err = context.Cause(ctx) // it ended whatever was waited for
	}
	return failure(ctx, d.host, p, err)
}

// mayReplay reports whether r may be sent again after w failed, by the rules
// of net/http: w was idle before, so it may have been closed by then, and
// nothing was written, or nothing came back and doing r twice does no harm.
func (w *wire) mayReplay(r *http.Request) bool {
	if !w.reused || w.answered || w.late {
		return false
	}
	return !w.wrote || isReplayable(r)
}

func isReplayable(r *http.Request) bool {
	if hasBody(r) {
		return false
	}
	if slices.Contains([]string{"GET", "HEAD", "OPTIONS", "TRACE"}, r.Method) {
		return true
	}
	header := exchange.HeaderOf(r)
	_, key := header["Idempotency-Key"]
	_, other := header["X-Idempotency-Key"]
	return key || other
}

// progress returns how far the call at hand has come.
func (w *wire) progress() progress {
	switch {
	case w.wrote && w.cutOff:
		return cutOff
	case w.wrote:
		return wrote
	}
	return connected
}

// newDirect returns what calls the endpoint at that URL directly, or nil if that
// is left to net/http.
func (ts *transports) newDirect(at *url.URL) *direct {
	c := ts.config
	if at.Scheme != "http" || c.Protocol != exchange.HTTP1 || c.Transport != Direct || c.Pool.MaxIdle == 0 || !plainHost(at.Host) {
		return nil
	}
	return &direct{
		host: at.Host, addr: net.JoinHostPort(at.Hostname(), cmp.Or(at.Port(), "80")), dial: ts.dial,
		pool:        pool{max: c.Pool.MaxIdle, timeout: c.Pool.IdleTimeout},
		headTimeout: c.ResponseHeaderTimeout,
	}
}
