package concurrency

import (
	"sync"
	"sync/atomic"
	"time"
)

// State is what one limit knows of its upstream: who has a place, who waits for
// one, and how many places there are. It survives reloads and is safe for
// concurrent use.
type State struct {
	name    string
	config  Config
	classes []string
	shed    []atomic.Uint64 // by class

	limit    atomic.Int64
	inFlight atomic.Int64
	usual    usual
	waiting  atomic.Int64 // length of queue; changed under mu only

	gradient *gradient // nil: the limit is static

	mu    sync.Mutex // guards queue
	queue queue
}

// NewState returns a State without calls. name is the instance's
// ("adaptive@orders"). c must be valid.
func NewState(name string, c Config) *State {
	c.Line = 0 // lines move with a reload, a State does not
	classes := classNames(c.Priority)
	s := &State{
		name: name, config: c, classes: classes,
		shed: make([]atomic.Uint64, len(classes)), queue: newQueue(c.Queue, len(classes)),
	}
	low, high := c.bounds()
	s.limit.Store(int64(high))
	if c.Algorithm == Gradient {
		s.gradient = newGradient(low, high, &s.limit)
	}
	return s
}

// call is a request that has a place.
type call struct {
	start    time.Time // when it got it
	n        int64     // how many had one then, with it
	attempts int       // that its request had made by then
}

// enter takes a place if there is one that nobody waits for.
func (s *State) enter() (n int64, ok bool) {
	if s.waiting.Load() > 0 {
		return 0, false
	}
	return s.take()
}

// take takes a place if there is one.
func (s *State) take() (n int64, ok bool) {
	for {
		n = s.inFlight.Load()
		if n >= s.limit.Load() {
			return n, false
		}
		if s.inFlight.CompareAndSwap(n, n+1) {
			return n + 1, true
		}
	}
}

// force takes a place whether there is one or not, and reports whether there
// was none.
func (s *State) force() (n int64, over bool) {
	n = s.inFlight.Add(1)
	return n, n > s.limit.Load()
}

// leave gives a place back. A place that comes free goes to who waits: either
// we see them here, or they, who look again once they wait, see it.
func (s *State) leave() {
	s.inFlight.Add(-1)
	s.serve()
}

func (s *State) serve() {
	if s.waiting.Load() == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serveLocked()
}

// serveLocked gives what places there are to those who wait. s.mu is held.
func (s *State) serveLocked() {
	for s.queue.n > 0 {
		n, ok := s.take()
		if !ok {
			return
		}
		s.decide(s.queue.next(time.Now()), ticket{n: n})
	}
}

// decide tells w, which is in the queue no more, what has become of it.
func (s *State) decide(w *waiter, t ticket) {
	s.waiting.Add(-1)
	w.decided <- t
}

// answered tells how c ended, its body aside.
func (s *State) answered(c call, v verdict) {
	now := time.Now()
	if v == nothing {
		if s.gradient != nil && s.gradient.giveUp(now) {
			s.serve()
		}
		return
	}
	took := now.Sub(c.start)
	if v == served {
		s.usual.add(took)
	}
	if s.gradient == nil {
		return
	}
	if s.gradient.sample(now, c, took, v == failed) {
		s.serve()
	}
}
