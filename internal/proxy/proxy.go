// Package proxy is the data plane: it takes each request through the gates,
// across the one seam, and through the layers to the upstream.
//
//	observe( gates( seam -> deadline( layers( upstream ))))
//
// Start reading at chain.go: it holds the order, and nothing else does.
package proxy

import (
	"context"
	"errors"
	"log"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"sidecar/internal/exchange"
	"sidecar/internal/faults"
	"sidecar/internal/policy"
)

// Options are what a Proxy is given by those who make it. The zero value
// works.
type Options struct {
	// Observers hear of every exchange and event.
	Observers exchange.Observers
	// Faults is what operators have switched on. Default: one of its own.
	Faults *faults.Switch
	// ErrorLog takes what the standard library has to say. Default: its own.
	ErrorLog *log.Logger
	// Random draws from [0,1), for jitter. Default rand.Float64.
	Random func() float64
	// Transport stands in for every upstream, so that a policy can be tried
	// without one. Default: the upstreams themselves.
	Transport http.RoundTripper

	watch exchange.Watch // Observers, made ready
}

// Proxy applies a policy to every request. It is safe for concurrent use. It
// answers nothing before the first Apply.
type Proxy struct {
	options   Options
	pseudonym string // in Via
	snapshot  atomic.Pointer[Snapshot]
	inFlight  atomic.Int64
	draining  atomic.Bool
	crossings sync.Pool // of *crossing

	applying sync.Mutex // one Apply at a time
}

// New returns a Proxy without a policy.
func New(o Options) *Proxy {
	if o.Random == nil {
		o.Random = rand.Float64
	}
	if o.Faults == nil {
		o.Faults = faults.NewSwitch(nil)
	}
	o.watch = o.Observers.Watch()
	return &Proxy{options: o, pseudonym: newPseudonym()}
}

// Apply makes f the policy of every request from now on. It takes over the
// state of policies that did not change. On an error, which is
// policy.Problems, nothing has changed.
func (p *Proxy) Apply(f *policy.File) error { return p.ApplyFor(f, exchange.Who{}) }

// ApplyFor is Apply on behalf of who. The observers hear of it at the last
// moment, when f is known to be good; what one of them objects is returned, and
// leaves everything as it was.
func (p *Proxy) ApplyFor(f *policy.File, who exchange.Who) error {
	p.applying.Lock()
	defer p.applying.Unlock()
	if f.Offline() {
		return errors.New("a policy that was read offline cannot be applied")
	}
	old := p.snapshot.Load()
	next, err := p.build(f, old)
	if err != nil {
		return err
	}
	e := exchange.Event{Kind: exchange.Reload, Name: f.Name(), To: f.Hash(), Who: who}
	before := state{}
	if old != nil {
		e.From, before = old.file.Hash(), old.state
	}
	if err := p.options.Observers.Event(e); err != nil {
		next.state.close(before)
		return err
	}
	next.applied = time.Now() // before anybody sees it
	p.snapshot.Store(next)
	next.start(p.options.Faults)
	before.close(next.state)
	return nil
}

// Check reports, as policy.Problems, what would stop f from being applied, and
// returns what f would become, to look at. It has no effect.
func (p *Proxy) Check(f *policy.File) (*Snapshot, error) {
	s, err := p.build(f, nil)
	if err != nil {
		return nil, err
	}
	s.state.close(nil)
	return s, nil
}

// Close ends what runs beside requests. The proxy must serve no more.
func (p *Proxy) Close() {
	if s := p.snapshot.Load(); s != nil {
		s.state.close(nil)
	}
}

// Snapshot returns what is applied now; nil before the first Apply.
func (p *Proxy) Snapshot() *Snapshot { return p.snapshot.Load() }

// Drain asks HTTP/1 clients, with each answer from now on, to go elsewhere.
func (p *Proxy) Drain() { p.draining.Store(true) }

// InFlight returns how many exchanges have not ended, upgraded ones included.
func (p *Proxy) InFlight() int { return int(p.inFlight.Load()) }

// Wait returns when no exchange is in flight, or when ctx ends, with its
// error. http.Server.Shutdown does not wait for upgraded connections; this
// does.
func (p *Proxy) Wait(ctx context.Context) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for p.InFlight() > 0 {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
	return nil
}
