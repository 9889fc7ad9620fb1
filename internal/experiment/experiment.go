// Package experiment breaks something on purpose to find out whether clients
// notice.
//
//	baseline -> fault -> recovery -> ended
//
// An experiment claims that a steady state holds also while a fault is on. It
// measures first without the fault, and does not begin where the claim does not
// hold even then. It ends by itself as soon as the claim is disproved, and
// however it ends the fault is off: when its time is over or its owner gone,
// when the sidecar ends or its policy changes. The fault itself bounds its time
// besides, so that nothing has to be done for that.
//
// The verdict tells what became of the requests that met the fault: absorbed, by
// a retry, a hedge or a fallback, or surfaced to the client.
//
// It is an observer: it reads the record of each exchange, and hears of the
// breakers. What it switches on is a Fault that others give it.
package experiment

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"sidecar/internal/exchange"
)

var (
	_ exchange.Observer      = (*Experiments)(nil)
	_ exchange.EventObserver = (*Experiments)(nil)
)

// Switch is the fault that an experiment switches on and off again.
type Switch interface {
	// Name is that of the policy.
	Name() string
	// Try says why the fault cannot be switched on now; nil if it can.
	Try() error
	// On switches it on for so long, on behalf of who.
	On(d time.Duration, who exchange.Who) (Hold, error)
}

// Hold is a fault that is on.
type Hold interface {
	// Over is closed when it is not on any more, or not as it was.
	Over() <-chan struct{}
	// Injected is how many attempts it has broken so far.
	Injected() uint64
	// Release switches it off, if it is still on as it was.
	Release(why string)
}

// What is wrong with a wish.
var (
	// ErrBusy: an experiment with the same fault has not ended.
	ErrBusy = errors.New("another experiment has the fault")
	// ErrClosed: the sidecar is about to end.
	ErrClosed = errors.New("the sidecar is shutting down")
	// ErrUnknown: there is no such experiment, or it is long over.
	ErrUnknown = errors.New("no such experiment")
)

// Experiments runs experiments, one at a time for each fault. It is safe for
// concurrent use.
type Experiments struct {
	exchange.NoAttempts

	tell func(exchange.Event) error

	// live holds those that measure; nil if none does. The list is never changed.
	live atomic.Pointer[[]*trial]

	running sync.WaitGroup

	mu     sync.Mutex // guards all below
	trials []*trial   // the oldest first
	closed bool
}

// kept is how many experiments that have ended are remembered.
const kept = 20

// New returns Experiments of which there are none yet. tell hears of each
// beginning, which its error prevents, and of each end. nil is nobody.
func New(tell func(exchange.Event) error) *Experiments {
	if tell == nil {
		tell = func(exchange.Event) error { return nil }
	}
	return &Experiments{tell: tell}
}

// Start begins the experiment that c describes, with f, on behalf of who. It
// measures the requests of routes. With a lease, it ends unless that is renewed
// in time; 0 is none, and the experiment goes on whoever is there.
//
// The error is ErrBusy or ErrClosed, or the fault's or tell's.
func (e *Experiments) Start(c Config, f Switch, routes []string, lease time.Duration, who exchange.Who) (Report, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return Report{}, ErrClosed
	}
	for _, t := range e.trials {
		if t.fault.Name() == f.Name() && !t.over() {
			return Report{}, fmt.Errorf("%w %q: %s", ErrBusy, f.Name(), t.id)
		}
	}
	if err := f.Try(); err != nil {
		return Report{}, err
	}
	t := newTrial(c, f, routes, lease, who)
	if err := e.tell(exchange.Event{
		Kind: exchange.Experiment, Name: c.Name, To: string(Baseline), Who: who,
		Detail: fmt.Sprintf("%s: fault %s for %v, after a baseline of %v", t.id, f.Name(), c.Duration, c.Baseline),
	}); err != nil {
		return Report{}, fmt.Errorf("experiment %q does not begin: %w", c.Name, err)
	}
	e.trials = append(e.trials, t)
	e.publish()
	t.renew()
	e.running.Go(func() { e.run(t) })
	return t.report(), nil
}

// run takes t to its end, and tells of it.
func (e *Experiments) run(t *trial) {
	defer close(t.done)
	phase := t.seal(t.run())
	e.mu.Lock()
	e.publish()
	e.mu.Unlock()
	r := t.report()
	_ = e.tell(exchange.Event{ // it has ended already
		Kind: exchange.Experiment, Name: r.Name, From: string(phase), To: string(r.Outcome),
		Detail: r.ID + ": " + r.String(), Bad: r.Outcome == Broken,
	})
}

// publish makes those that measure known to the observer, and forgets the
// oldest. e.mu is held.
func (e *Experiments) publish() {
	var live []*trial
	for _, t := range e.trials {
		if !t.over() {
			live = append(live, t)
		}
	}
	for excess := len(e.trials) - len(live) - kept; excess > 0; excess-- {
		i := slices.IndexFunc(e.trials, (*trial).over)
		e.trials = slices.Delete(e.trials, i, i+1)
	}
	if live == nil {
		e.live.Store(nil)
		return
	}
	e.live.Store(&live)
}

// List returns all experiments, the newest first.
func (e *Experiments) List() []Report {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := make([]Report, 0, len(e.trials))
	for _, t := range slices.Backward(e.trials) {
		all = append(all, t.report())
	}
	return all
}

// Get returns one experiment, or ErrUnknown.
func (e *Experiments) Get(id string) (Report, error) {
	t, err := e.find(id)
	if err != nil {
		return Report{}, err
	}
	return t.report(), nil
}

// Renew prolongs the lease of an experiment, if it has one, and returns what Get
// returns.
func (e *Experiments) Renew(id string) (Report, error) {
	t, err := e.find(id)
	if err != nil {
		return Report{}, err
	}
	t.renew()
	return t.report(), nil
}

// Abort ends an experiment on behalf of who, and returns what Get returns when
// it has ended, or when ctx does.
func (e *Experiments) Abort(ctx context.Context, id string, who exchange.Who) (Report, error) {
	t, err := e.find(id)
	if err != nil {
		return Report{}, err
	}
	t.abort("aborted by " + who.String())
	select {
	case <-t.done:
	case <-ctx.Done():
	}
	return t.report(), nil
}

func (e *Experiments) find(id string) (*trial, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, t := range e.trials {
		if t.id == id {
			return t, nil
		}
	}
	return nil, fmt.Errorf("%w: %q", ErrUnknown, id)
}

// Close ends every experiment and returns when that is done. None begins any
// more.
func (e *Experiments) Close() {
	e.mu.Lock()
	e.closed = true
	for _, t := range e.trials {
		t.abort(ErrClosed.Error())
	}
	e.mu.Unlock()
	e.running.Wait()
}
