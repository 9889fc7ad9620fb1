package faults

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"sidecar/internal/exchange"
)

// ErrUnknown is what a Switch says of a fault that the policy does not name.
var ErrUnknown = errors.New("no such fault in the policy")

// ErrDisabled is what a Switch says of a fault that the policy has disabled: it
// cannot be switched on.
var ErrDisabled = errors.New("mode is disabled in the policy")

// byPolicy is who has set a fault that the policy file enables.
const byPolicy = "policy"

// Switch knows which faults are on: what the policy file enables, and what
// operators have switched on and off. It outlives every snapshot.
//
// The last word counts. What runs out is off; nobody has to do anything for
// it. A Switch is safe for concurrent use.
type Switch struct {
	tell func(exchange.Event) error

	// running holds the faults that are on, by name; nil if none is. It may
	// hold some that have run out. The map is never changed.
	running atomic.Pointer[map[string]*run]

	changing sync.Mutex // held over a whole change, its event included

	published chan struct{} // has one when running may have changed; for Run

	mu     sync.RWMutex // guards faults and what they point to
	faults map[string]*fault
}

// fault is what a Switch knows of one fault.
type fault struct {
	config   Config
	since    time.Time      // when the file was first seen to enable it; zero if it does not
	word     *word          // an operator's; nil: the file's stands
	term     *term          // while it is on
	guard    *guard         // nil: no abortIf
	injected *atomic.Uint64 // attempts
}

// term is the time for which a fault is on by somebody's word, or the file's.
// What is held up by the fault goes on when it ends.
type term struct {
	word    *word
	expires time.Time
	over    context.Context
	end     context.CancelFunc
}

// word is what an operator said last.
type word struct {
	on      bool
	toggle  Toggle
	expires time.Time
	who     exchange.Who

	injected atomic.Uint64 // attempts, by this word
}

// run is a fault that is on.
type run struct {
	expires  time.Time
	toggle   *Toggle // nil: as the policy says
	when     condition
	injected *atomic.Uint64
	word     *word           // nil: the file's
	over     <-chan struct{} // closed when it ends, however
	guard    *guard          // nil: no abortIf
}

// count counts an attempt that is broken.
func (r *run) count() {
	r.injected.Add(1)
	if r.word != nil {
		r.word.injected.Add(1)
	}
}

func (r *run) isOver() bool {
	select {
	case <-r.over:
		return true
	default:
		return false
	}
}

// NewSwitch returns a Switch that knows no fault yet. tell hears of every
// change before it is made; its error prevents the change. It may read the
// Switch but not change it. nil is nobody.
func NewSwitch(tell func(exchange.Event) error) *Switch {
	if tell == nil {
		tell = func(exchange.Event) error { return nil }
	}
	return &Switch{tell: tell, faults: map[string]*fault{}, published: make(chan struct{}, 1)}
}

// Sync tells s which faults the policy names from now on. A fault that the
// file enables runs from when it was first seen so; a reload does not restart
// it. One that was disabled, or absent, and is enabled now starts anew, unless
// an operator's toggle is running. One that is absent is forgotten. Of one that
// has changed, what it holds up goes on, and a Hold is over.
func (s *Switch) Sync(fs []Named) {
	s.changing.Lock()
	defer s.changing.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	known := make(map[string]*fault, len(fs))
	for _, n := range fs {
		f := s.faults[n.Name]
		if f == nil {
			f = &fault{injected: new(atomic.Uint64)}
		}
		f.guard = newGuard(n.AbortIf, f.guard)
		if !f.config.equal(n.Config) {
			f.stop()
		}
		f.config = n.Config
		switch {
		case !n.Enabled:
			f.since = time.Time{}
		case f.since.IsZero():
			f.since = now
			if f.word != nil && !f.active(now) {
				f.word = nil
			}
		}
		known[n.Name] = f
	}
	for name, f := range s.faults {
		if known[name] == nil {
			f.stop()
		}
	}
	s.faults = known
	s.publish(now)
}

// On switches a fault on for t.Duration, whoever has set it before. The error
// is ErrUnknown or ErrDisabled, or says which field of t is wrong, or is tell's.
func (s *Switch) On(name string, t Toggle, who exchange.Who) (Status, error) {
	return s.change(name, who, func(f fault, now time.Time) (*word, error) {
		return f.switchedOn(t, who, now)
	})
}

// switchedOn returns the word that switches f on.
func (f *fault) switchedOn(t Toggle, who exchange.Who, now time.Time) (*word, error) {
	if f.config.Mode == exchange.ModeDisabled {
		return nil, ErrDisabled
	}
	if t.Duration == 0 {
		t.Duration = f.config.MaxDuration
	}
	if err := t.validate(f.config); err != nil {
		return nil, err
	}
	return &word{on: true, toggle: t.clone(), expires: now.Add(t.Duration), who: who}, nil
}

// Off switches a fault off until it is switched on again, even one that the
// file enables. The error is ErrUnknown or tell's.
func (s *Switch) Off(name string, who exchange.Who) (Status, error) {
	return s.change(name, who, func(f fault, now time.Time) (*word, error) {
		if !f.active(now) {
			return f.word, nil
		}
		return &word{who: who}, nil
	})
}

// change lets say have the last word on a fault. A word that is the one before
// is no change.
func (s *Switch) change(name string, who exchange.Who, say func(fault, time.Time) (*word, error)) (Status, error) {
	s.changing.Lock()
	defer s.changing.Unlock()
	now := time.Now()
	s.mu.RLock()
	f := s.faults[name] // changed only by those who hold s.changing
	s.mu.RUnlock()
	if f == nil {
		return Status{}, fmt.Errorf("fault %q: %w", name, ErrUnknown)
	}
	w, err := say(*f, now)
	if err != nil {
		return Status{}, fmt.Errorf("fault %q: %w", name, err)
	}
	if w == f.word {
		return f.status(name, now), nil
	}
	after := *f
	after.word = w
	status := after.status(name, now)
	if err := s.tell(exchange.Event{
		Time: now, Kind: exchange.Fault, Name: name,
		From: onOff(f.active(now)), To: onOff(status.Active),
		Who: who, Detail: status.detail(), Line: f.config.Line, Shadow: status.Shadow,
	}); err != nil {
		return Status{}, fmt.Errorf("fault %q is unchanged: %w", name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f.word = w
	s.publish(now)
	return status, nil
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

// List returns all faults that the policy names, by name.
func (s *Switch) List() []Status {
	s.mu.RLock()
	defer s.mu.RUnlock()
	now := time.Now()
	list := make([]Status, 0, len(s.faults))
	for _, name := range slices.Sorted(maps.Keys(s.faults)) {
		list = append(list, s.faults[name].status(name, now))
	}
	return list
}

// Get returns one fault, if the policy names it.
func (s *Switch) Get(name string) (Status, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	f, ok := s.faults[name]
	if !ok {
		return Status{}, false
	}
	return f.status(name, time.Now()), true
}

// refresh drops what has run out, so that it costs no more.
func (s *Switch) refresh() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.publish(time.Now())
}

// publish makes what is on known to the layers. s.mu is held.
func (s *Switch) publish(now time.Time) {
	select {
	case s.published <- struct{}{}:
	default:
	}
	running := map[string]*run{}
	for name, f := range s.faults {
		if !f.active(now) {
			f.stop()
			continue
		}
		r := &run{expires: f.expires(), injected: f.injected, word: f.word, over: f.start(), guard: f.guard}
		if f.word != nil {
			r.toggle = &f.word.toggle
			if w := r.toggle.When; w != nil {
				r.when = newCondition(*w)
			}
		}
		running[name] = r
	}
	if len(running) == 0 {
		s.running.Store(nil)
		return
	}
	s.running.Store(&running)
}

// start returns what is closed when the time ends for which f is on now.
func (f *fault) start() <-chan struct{} {
	if t := f.term; t == nil || t.word != f.word || !t.expires.Equal(f.expires()) {
		f.stop()
		f.term = &term{word: f.word, expires: f.expires()}
		f.term.over, f.term.end = context.WithDeadline(context.Background(), f.expires())
		if f.guard != nil {
			f.guard.reset()
		}
	}
	return f.term.over.Done()
}

func (f *fault) stop() {
	if f.term != nil {
		f.term.end()
		f.term = nil
	}
}

// expires returns when f stops, or the zero time if it does not run.
func (f *fault) expires() time.Time {
	switch {
	case f.word != nil:
		return f.word.expires // zero when switched off
	case !f.since.IsZero():
		return f.since.Add(f.config.MaxDuration)
	}
	return time.Time{}
}

func (f *fault) active(now time.Time) bool {
	return f.config.Mode != exchange.ModeDisabled && now.Before(f.expires())
}

func (f *fault) status(name string, now time.Time) Status {
	c := f.config
	s := Status{
		Name: name, Active: f.active(now), Injected: f.injected.Load(),
		Shadow: c.Mode == exchange.ModeShadow,
	}
	switch {
	case f.word != nil:
		s.SetBy = f.word.who.String()
		if s.Active {
			c = f.word.toggle.over(c)
		}
	case c.Enabled:
		s.SetBy = byPolicy
	}
	if s.Active {
		s.ExpiresAt = f.expires()
	}
	s.Percent, s.Delay, s.Abort, s.Body, s.When = c.Percent, c.Delay, c.Abort, c.Body, c.When.clone()
	s.ByHeader = c.ByHeader != nil
	return s
}
