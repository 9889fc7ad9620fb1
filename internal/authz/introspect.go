package authz

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

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
	voice     voice
	slots     chan struct{} // one value for each call under way

	active   *remembered[*opinion]
	inactive *remembered[*opinion] // apart: anybody can fill it

	mu      sync.Mutex // guards pending; what is in neither cache is asked about once
	pending map[digest]*pendingCall
}

// opinion is what an issuer says of a token. It is immutable.
type opinion struct {
	claims jwt.MapClaims // nil: not active
	size   int
	until  time.Time // it is not gone by any longer
}

// pendingCall is a call under way. All but done is set before done is closed,
// and read after.
type pendingCall struct {
	done   chan struct{}
	answer *opinion
	err    error
}

const (
	inactiveFor  = 5 * time.Second
	maxInactive  = 10_000 // tokens
	activeWeight = 8 << 20

	// saidFor is how long after a failure was told nothing better is.
	saidFor = time.Second

	// callsPerSlot is how many calls may wait for each that is under way.
	callsPerSlot = 16
)

// NewIntrospector returns an Introspector. c must be valid. transport sends
// the calls; nil is one that knows no proxy. tell hears when asking begins to
// fail and when it works again, from another goroutine.
func NewIntrospector(c IntrospectorConfig, transport http.RoundTripper, tell func(exchange.Event)) *Introspector {
	at := c.Introspection
	if transport == nil {
		transport = newTransport(at.Timeout, 0, at.MaxConcurrent)
	}
	return &Introspector{
		config: c, transport: transport,
		voice:  voice{tell: tell, kind: exchange.Introspection, name: c.Issuer, well: "answering", quiet: saidFor},
		slots:  make(chan struct{}, at.MaxConcurrent),
		active: newRemembered[*opinion](activeWeight), inactive: newRemembered[*opinion](maxInactive),
		pending: map[digest]*pendingCall{},
	}
}

// Issuer returns who is asked.
func (n *Introspector) Issuer() string { return n.config.Issuer }

// Failing reports whether the last call failed.
func (n *Introspector) Failing() bool { return n.voice.failing() }

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
	known, call, err := n.lookUp(token)
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

// lookUp returns the answer for token, if it is known, or the call to wait for:
// the one under way or, if there is none, one that begins now.
func (n *Introspector) lookUp(token string) (*opinion, *pendingCall, error) {
	d := digestOf(token)
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, kept := range []*remembered[*opinion]{n.active, n.inactive} {
		if a, ok := kept.get(d); ok {
			return a, nil, nil
		}
	}
	if call, ok := n.pending[d]; ok {
		return nil, call, nil
	}
	if len(n.pending) >= callsPerSlot*cap(n.slots) {
		return nil, nil, errFull
	}
	call := &pendingCall{done: make(chan struct{})}
	n.pending[d] = call
	go n.run(call, d, token)
	return nil, call, nil
}

// run makes the call, and lets go those who wait for it.
func (n *Introspector) run(call *pendingCall, d digest, token string) {
	call.answer, call.err = n.introspect(token)
	n.voice.say("", call.err)
	n.mu.Lock()
	defer n.mu.Unlock()
	switch a := call.answer; {
	case call.err != nil:
	case a.claims == nil:
		n.inactive.put(d, a, 1, a.until)
	default:
		n.active.put(d, a, a.size+principalSize, a.until)
	}
	delete(n.pending, d)
	close(call.done)
}
