// Package upstream calls the service behind the proxy: its endpoints in turn,
// over connections that are kept.
//
// It is the innermost RoundTripper of the chain, below the faults:
//
//	circuitBreaker(retry(fault(upstream)))
//
// It calls once and tells the truth about it: every error is an
// *exchange.Failure whose kind says whether the service can have seen the
// request. What a response's Connection header names goes no further
// (RFC 9110 section 7.6.1).
package upstream

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync/atomic"

	"sidecar/internal/exchange"
)

// Upstream is one service. It lives as long as its Config stays the same, over
// any number of reloads. It is safe for concurrent use.
type Upstream struct {
	name         string
	preserveHost bool
	endpoints    []endpoint
	transports   *transports

	next     atomic.Uint64
	inFlight atomic.Int64
	retired  atomic.Bool
}

// endpoint is one place where the service listens, and the way there.
type endpoint struct {
	scheme, host string
	transport    *http.Transport
	upgrade      *http.Transport // for requests that change the protocol; nil: none can
	direct       *direct         // for ordinary requests; nil: transport carries them too
}

// New returns the Upstream called name that behaves as c says. c must be valid.
// It connects to nothing yet. Its https endpoints are called as secure says; nil:
// as the system trusts.
func New(name string, c Config, secure *tls.Config) *Upstream {
	return newUpstream(name, c, &transports{config: c, tls: secure})
}

func newUpstream(name string, c Config, ts *transports) *Upstream {
	u := &Upstream{name: name, preserveHost: c.PreserveHost, transports: ts}
	for _, e := range c.Endpoints {
		at, err := url.Parse(e.URL)
		if err != nil { // Validate has refused it
			at = &url.URL{Scheme: "http", Host: e.URL}
		}
		transport, upgrade := ts.forScheme(at.Scheme)
		direct := ts.newDirect(at)
		u.endpoints = append(u.endpoints, endpoint{at.Scheme, at.Host, transport, upgrade, direct})
	}
	return u
}

// Name returns the name of u in the policy file.
func (u *Upstream) Name() string { return u.name }

// InFlight returns how many calls have not ended: a call ends with its error,
// or when its response's body is closed.
func (u *Upstream) InFlight() int { return int(u.inFlight.Load()) }

// Close says that no snapshot uses u any more: its idle connections are
// closed once the last call has ended. Calls may still come and are answered.
func (u *Upstream) Close() {
	u.retired.Store(true)
	if u.inFlight.Load() == 0 {
		u.closeIdle()
	}
}

// closeIdle closes the connections that no call uses.
func (u *Upstream) closeIdle() {
	u.transports.closeIdle()
	for _, e := range u.endpoints {
		if e.direct != nil {
			e.direct.pool.closeIdle()
		}
	}
}

// end is called once for each call.
func (u *Upstream) end() {
	if u.inFlight.Add(-1) == 0 && u.retired.Load() {
		u.closeIdle()
	}
}

// RoundTrip calls the next endpoint. It does not change r; it fills in the
// Endpoint and the Replays of the attempt that r is.
//
// The error is an *exchange.Failure, or the *exchange.Refusal that the body of
// r or its context ended with. A body that breaks after the response headers
// is an error of its Read.
func (u *Upstream) RoundTrip(r *http.Request) (*http.Response, error) {
	e := &u.endpoints[(u.next.Add(1)-1)%uint64(len(u.endpoints))]
	attempt := exchange.AttemptOf(r)
	attempt.Endpoint, attempt.Scheme = e.host, e.scheme

	u.inFlight.Add(1)
	resp, conn, err := e.call(r, attempt, u.preserveHost)
	if err != nil {
		u.end()
		return nil, err
	}
	if resp.StatusCode < 100 { // net/http parses it, and refuses to write it
		resp.Body.Close()
		u.end()
		return nil, failure(r.Context(), e.host, wrote, fmt.Errorf("malformed status code %d", resp.StatusCode))
	}
	stripNamed(resp, conn)
	u.endWith(resp)
	resp.Request = r
	return resp, nil
}

// call sends r to e, and counts in a how often that began again. With the
// response comes the connection it came over; nil if that speaks HTTP/2.
func (e *endpoint) call(r *http.Request, a *exchange.Attempt, preserveHost bool) (*http.Response, *conn, error) {
	if m := e.compose(r, preserveHost); m != nil {
		late, err := m.body(r)
		switch {
		case err != nil:
			defer m.free()
			return nil, nil, e.direct.failure(r.Context(), uploading, err)
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
func (e *endpoint) standard(r *http.Request, a *exchange.Attempt, preserveHost bool) (*http.Response, *conn, error) {
	c := newCall()
	out, transport := e.address(r, c, preserveHost)
	resp, err := transport.RoundTrip(out)
	a.Replays = c.replays()
	if err != nil {
		return nil, nil, failure(r.Context(), e.host, c.progress(), err)
	}
	conn := c.connection()
	if conn != nil && conn.reading.Load() {
		conn.Close()
		resp.Body.Close()
		return nil, nil, failure(r.Context(), e.host, wrote, errEarlier)
	}
	return resp, conn, nil
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
	out.URL = &target
	if !preserveHost {
		out.Host = e.host
	}
	if !wantsUpgrade(r.Header) {
		return out, e.transport
	}
	if e.upgrade != nil {
		return out, e.upgrade
	}
	// HTTP/2 has no Upgrade, and a request to upgrade may be ignored
	// (RFC 9113 section 8.2.2, RFC 9110 section 7.8).
	out.Header = r.Header.Clone()
	out.Header.Del("Connection")
	out.Header.Del("Upgrade")
	return out, e.transport
}
