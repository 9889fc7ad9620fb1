package authz

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/maypok86/otter/v2"

	"sidecar/internal/exchange"
)

// Introspector asks one issuer what it thinks of tokens, and remembers that
// for a while. It survives reloads and is safe for concurrent use.
//
// Each call has a goroutine of its own, so that a client that leaves cannot
// cancel what others wait for.
type Introspector struct {
	config    IntrospectorConfig
	transport http.RoundTripper
	tell      func(exchange.Event)
	slots     chan struct{} // one value for each call under way

	mu       sync.Mutex // guards all below
	calls    map[digest]*introspection
	active   *otter.Cache[digest, *opinion]
	inactive *otter.Cache[digest, *opinion] // apart: anybody can fill it

	saying sync.Mutex // guards all below, and keeps events in order
	failed bool       // the last call
	said   string
	at     time.Time
}

// opinion is what an issuer says of a token. It is immutable.
type opinion struct {
	claims jwt.MapClaims // nil: not active
	size   int
	until  time.Time // it is not gone by any longer
}

// introspection is a call under way. All but done is set before done is
// closed, and read after.
type introspection struct {
	done   chan struct{}
	answer *opinion
	err    error
}

const (
	inactiveFor  = 5 * time.Second
	maxInactive  = 10_000 // tokens
	activeWeight = 8 << 20

	// callsPerSlot is how many calls may wait for each that is under way.
	callsPerSlot = 16
)

// NewIntrospector returns an Introspector. c must be valid. transport sends
// the calls; nil is one that knows no proxy. tell hears when asking begins to
// fail and when it works again, from another goroutine.
func NewIntrospector(c IntrospectorConfig, transport http.RoundTripper, tell func(exchange.Event)) *Introspector {
	if transport == nil {
		transport = newIntrospectionTransport(c.Introspection)
	}
	return &Introspector{
		config: c, transport: transport, tell: tell,
		slots: make(chan struct{}, c.Introspection.MaxConcurrent),
		calls: map[digest]*introspection{},
		active: otter.Must(&otter.Options[digest, *opinion]{
			MaximumWeight: activeWeight,
			Weigher:       func(_ digest, a *opinion) uint32 { return uint32(a.size + principalSize) },
		}),
		inactive: otter.Must(&otter.Options[digest, *opinion]{MaximumSize: maxInactive}),
	}
}

// Issuer returns who is asked.
func (n *Introspector) Issuer() string { return n.config.Issuer }

// Failing reports whether the last call failed.
func (n *Introspector) Failing() bool {
	n.saying.Lock()
	defer n.saying.Unlock()
	return n.failed
}

// Close lets go of connections that nobody uses. Requests that still use n are
// answered.
func (n *Introspector) Close() {
	if t, ok := n.transport.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}

var (
	errLeft = errors.New("the request did not wait for the answer")
	errFull = errors.New("too many tokens wait to be asked about")
)

// ask returns what the issuer says of token, now or a short while ago.
func (n *Introspector) ask(ctx context.Context, token string) (*opinion, error) {
	known, call, err := n.call(token)
	if known != nil || err != nil {
		return known, err
	}
	select {
	case <-call.done:
		return call.answer, call.err
	case <-ctx.Done():
		return nil, errLeft
	}
}

// call returns the answer for token, if it is known, or the call to wait for:
// the one under way or, if there is none, one that begins now.
func (n *Introspector) call(token string) (*opinion, *introspection, error) {
	d := digestOf(token)
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, kept := range []*otter.Cache[digest, *opinion]{n.active, n.inactive} {
		if a, ok := kept.GetIfPresent(d); ok && time.Now().Before(a.until) {
			return a, nil, nil
		}
	}
	if call, ok := n.calls[d]; ok {
		return nil, call, nil
	}
	if len(n.calls) >= callsPerSlot*cap(n.slots) {
		return nil, nil, errFull
	}
	call := &introspection{done: make(chan struct{})}
	n.calls[d] = call
	go n.run(call, d, token)
	return nil, call, nil
}

// run makes the call, and lets go those who wait for it.
func (n *Introspector) run(call *introspection, d digest, token string) {
	call.answer, call.err = n.introspect(token)
	n.say(call.err)
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case call.err != nil:
	case call.answer.claims == nil:
		n.active.Invalidate(d)
		n.inactive.Set(d, call.answer)
	default:
		n.active.Set(d, call.answer)
	}
	delete(n.calls, d)
	close(call.done)
}

// saidFor is how long after a failure was told nothing better is: an issuer that
// fails now and then does not fill the log.
const saidFor = time.Second

// say tells how a call went, if that is another word than said before.
func (n *Introspector) say(err error) {
	e := exchange.Event{Time: time.Now(), Kind: exchange.Introspection, Name: n.config.Issuer, To: answering}
	if err != nil {
		e.To, e.Detail, e.Bad = failing, err.Error(), true
	}
	n.saying.Lock()
	defer n.saying.Unlock()
	n.failed = err != nil
	if e.To == n.said || !n.failed && e.Time.Sub(n.at) < saidFor {
		return
	}
	e.From, n.said, n.at = n.said, e.To, e.Time
	n.tell(e)
}

const answering = "answering"
