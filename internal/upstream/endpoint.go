package upstream

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"sidecar/internal/exchange"
)

// endpoint is one place where the service listens, and the way there.
type endpoint struct {
	label        string // host:port, by which people and breakers know it
	scheme, host string // of its URL
	weight       int
	transports   *transports
	transport    *http.Transport
	upgrade      *http.Transport // for requests that change the protocol; nil: none can
	direct       *direct         // for ordinary requests; nil: transport carries them too

	inFlight atomic.Int64
	retired  atomic.Bool
	failures atomic.Int64 // in a row, as outlier counts them

	condition
}

// condition is how an endpoint fares. The mutex of its Upstream guards it.
type condition struct {
	drained bool

	checks         checks
	ejection       ejection
	rampsFrom      time.Time // slowly, since then; zero: it has its full share
	watching       context.CancelFunc
	passed, failed uint64 // checks
}

// newEndpoint returns the endpoint at that URL, which ts leads to. u.mu is held,
// or nobody knows u yet.
func (u *Upstream) newEndpoint(at *url.URL, label string, weight int, ts *transports) *endpoint {
	e := &endpoint{label: label, scheme: at.Scheme, host: at.Host, weight: weight, transports: ts, direct: ts.newDirect(at)}
	if e.direct != nil {
		e.direct.host = label
	}
	e.transport, e.upgrade = ts.forScheme(at.Scheme)
	return e
}

// end is called once for each call.
func (e *endpoint) end() {
	if e.inFlight.Add(-1) == 0 && e.retired.Load() {
		e.finish()
	}
}

// retire has the connections of e closed when the last call has ended. Calls
// may still come.
func (e *endpoint) retire() {
	if e.watching != nil {
		e.watching()
		e.watching = nil
	}
	e.retired.Store(true)
	if e.inFlight.Load() == 0 {
		e.finish()
	}
}

// letGo is how long net/http may take to count an HTTP/2 connection as idle when
// the last call on it was broken off.
const letGo = 100 * time.Millisecond

// finish closes the connections of e, on which the last call has just ended.
func (e *endpoint) finish() {
	e.closeIdle()
	if e.direct == nil {
		time.AfterFunc(letGo, e.closeIdle)
	}
}

// beginAnew takes e back. It keeps its calls and nothing else: who listens there
// now may be somebody else. The mutex of its Upstream is held.
func (e *endpoint) beginAnew() {
	e.condition = condition{}
	e.failures.Store(0)
	e.retired.Store(false)
}

// closeIdle closes the connections that no call uses.
func (e *endpoint) closeIdle() {
	e.transports.closeIdle()
	if e.direct != nil {
		e.direct.pool.closeIdle()
	}
}

// call sends r to e, and counts in a how often that began again. The response
// is without what was meant for its connection alone.
func (e *endpoint) call(r *http.Request, a *exchange.Attempt, preserveHost bool) (*http.Response, error) {
	if m := e.compose(r, preserveHost); m != nil {
		late, err := m.body(r)
		switch {
		case err != nil:
			defer m.free()
			return nil, e.direct.failure(r.Context(), uploading, err)
		case late == nil:
			defer m.free()
			return e.direct.roundTrip(r, m.text, a)
		}
		r = r.WithContext(r.Context())
		r.Body = late
	}
	return e.standard(r, a, preserveHost)
}

// compose returns r as it is sent to e directly, or nil.
func (e *endpoint) compose(r *http.Request, preserveHost bool) *message {
	switch {
	case e.direct == nil:
		return nil
	case preserveHost && r.Host != "":
		return compose(r, r.Host)
	}
	return compose(r, e.host)
}

// standard sends r to e with net/http's Transport.
func (e *endpoint) standard(r *http.Request, a *exchange.Attempt, preserveHost bool) (*http.Response, error) {
	c := newCall()
	out, transport := e.address(r, c, preserveHost)
	resp, err := transport.RoundTrip(out)
	a.Replays = c.replays()
	if err != nil {
		return nil, failure(r.Context(), e.label, c.progress(), err)
	}
	conn := c.connection()
	if c.early() {
		conn.Close()
		resp.Body.Close()
		return nil, failure(r.Context(), e.label, wrote, errEarlier)
	}
	beside := ""
	if conn != nil && resp.Close {
		beside = conn.options()
	}
	stripNamed(resp, beside)
	return resp, nil
}

// errEarlier: net/http may hand on a connection over which more has come than
// the answer to the call before, and takes that for the answer to the next one.
var errEarlier = errors.New("an answer that was there before the request")

// address returns a copy of r that goes to e, watched by c, and what is to
// carry it. The request target is the seam's: it is left as it is.
func (e *endpoint) address(r *http.Request, c *call, preserveHost bool) (*http.Request, *http.Transport) {
	out := r.WithContext(c.watch(r.Context()))
	target := *r.URL
	target.Scheme, target.Host = e.scheme, e.host
	out.URL, out.Header = &target, exchange.HeaderOf(r)
	if !preserveHost {
		out.Host = e.host
	}
	if !wantsUpgrade(out.Header) {
		return out, e.transport
	}
	if e.upgrade != nil {
		return out, e.upgrade
	}
	// HTTP/2 has no Upgrade, and a request to upgrade may be ignored
	// (RFC 9113 section 8.2.2, RFC 9110 section 7.8).
	out.Header = out.Header.Clone()
	out.Header.Del("Connection")
	out.Header.Del("Upgrade")
	return out, e.transport
}
