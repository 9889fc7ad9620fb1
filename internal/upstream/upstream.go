// Package upstream calls the service behind the proxy: one of its endpoints
// each time, over connections that are kept.
//
// It is the innermost RoundTripper of the chain, below the faults:
//
//	circuitBreaker(retry(fault(upstream)))
//
// It calls once and tells the truth about it: every error is an
// *exchange.Failure whose kind says whether the service can have seen the
// request. What a response's Connection header names goes no further
// (RFC 9110 section 7.6.1).
//
// A call looks at one view of the endpoints: which of them take calls, and how
// often. Whatever changes that (a name's new address, a health check, an
// ejection, a drain, an endpoint's slow start) makes another view, so that a
// call takes no lock and asks nobody.
package upstream

import (
	"context"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"sidecar/internal/exchange"
)

// Upstream is one service. It lives as long as its Config stays the same, over
// any number of reloads. It is safe for concurrent use.
type Upstream struct {
	name       string
	config     Config
	transports *transports // of the endpoints that no name was looked up for

	tell   func(exchange.Event) error
	random func() float64 // from [0,1), for jitter
	lookup func(ctx context.Context, host string) ([]netip.Addr, error)

	next atomic.Uint64 // turn
	view atomic.Pointer[view]

	telling sync.Mutex // held by the one goroutine that tells, before mu

	mu        sync.Mutex // guards all below, and the condition of endpoints
	places    []*place
	endpoints []*endpoint // those of all places, in their order
	leaving   []*endpoint // gone from the answer of a name, with calls that go on
	news      []exchange.Event
	timer     *time.Timer // for what changes as time passes
	run       context.Context
	stop      context.CancelFunc // nil: not started
	closed    bool
}

// New returns the Upstream called name that behaves as c says. c must be valid.
// It connects to nothing yet. Its https endpoints are called as secure says; nil:
// as the system trusts. tell hears, one at a time and in order, of what becomes
// of endpoints: of a drain before it is made, which its error prevents.
func New(name string, c Config, secure *tls.Config, tell func(exchange.Event) error) *Upstream {
	u := newUpstream(name, c, &transports{config: c, tls: secure})
	if tell != nil {
		u.tell = tell
	}
	return u
}

func newUpstream(name string, c Config, ts *transports) *Upstream {
	u := &Upstream{
		name: name, config: c, transports: ts,
		tell: func(exchange.Event) error { return nil }, random: rand.Float64, lookup: lookup,
	}
	for _, e := range c.Endpoints {
		u.places = append(u.places, u.newPlace(e))
	}
	u.gather()
	u.rebuild(time.Now())
	return u
}

// Name returns the name of u in the policy file.
func (u *Upstream) Name() string { return u.name }

// Hosts returns the host:port of each endpoint that there is now, whatever its
// condition. The caller must not change it.
func (u *Upstream) Hosts() []string { return u.view.Load().hosts }

// InFlight returns how many calls have not ended: a call ends with its error,
// or when its response's body is closed.
func (u *Upstream) InFlight() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	n := int64(0)
	for _, e := range slices.Concat(u.endpoints, u.leaving) {
		n += e.inFlight.Load()
	}
	return int(n)
}

// Start begins what runs beside calls: following names, and asking endpoints
// how they are. It does nothing where there is nothing to do, or where it runs
// already. It does not wait: until a name is known, connections look it up.
func (u *Upstream) Start() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed || u.stop != nil {
		return
	}
	u.run, u.stop = context.WithCancel(context.Background())
	for _, p := range u.places {
		if p.name != "" {
			go u.follow(u.run, p)
		}
	}
	for _, e := range u.endpoints {
		u.watch(e)
	}
}

// Close says that no snapshot uses u any more: what runs beside calls ends, and
// idle connections are closed once the last call has ended. Calls may still
// come and are answered.
func (u *Upstream) Close() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.closed = true
	if u.stop != nil {
		u.stop()
	}
	if u.timer != nil {
		u.timer.Stop()
	}
	for _, e := range slices.Concat(u.endpoints, u.leaving) {
		e.retire()
	}
}

// RoundTrip calls the next endpoint. It does not change r; it fills in the
// Endpoint and the Replays of the attempt that r is.
//
// The error is an *exchange.Failure, or the *exchange.Refusal that the body of
// r or its context ended with, or what the Picker of r has to say where it
// allows no endpoint. A body that breaks after the response headers is an error
// of its Read.
func (u *Upstream) RoundTrip(r *http.Request) (*http.Response, error) {
	e, err := u.choose(r)
	if err != nil {
		exchange.CloseBody(r)
		return nil, err
	}
	attempt := exchange.AttemptOf(r)
	attempt.Endpoint, attempt.Scheme = e.label, e.scheme

	e.inFlight.Add(1)
	resp, err := e.call(r, attempt, u.config.PreserveHost)
	if err == nil && resp.StatusCode < 100 { // net/http parses it, and refuses to write it
		resp.Body.Close()
		err = failure(r.Context(), e.label, wrote, fmt.Errorf("malformed status code %d", resp.StatusCode))
	}
	if u.config.Outlier != nil {
		u.judge(e, resp, err)
	}
	if err != nil {
		e.end()
		return nil, err
	}
	e.endWith(resp)
	resp.Request = r
	return resp, nil
}
