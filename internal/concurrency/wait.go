package concurrency

import (
	"context"
	"errors"
	"time"

	"sidecar/internal/exchange"
)

// Why a request that waited got no place.
const (
	fullDetail    = "no place is free, and none to wait in"
	evictedDetail = "others go first, and have taken its place to wait in"
	waitedDetail  = "no place came free while it could wait"
	lateDetail    = "no place is free, and its time is too short to wait for one"
)

// ticket is what becomes of a request that waits: it is the n-th in flight, or
// it is refused.
type ticket struct {
	n   int64
	why *why
}

type why struct {
	reason exchange.Reason
	detail string
}

// wait waits for a place, as long as the policy and the deadline allow. It
// returns how many have one, or why there is none: why is ours, and err is what
// has ended the request meanwhile.
func (s *State) wait(ctx context.Context, class int, deadline time.Time) (n int64, why *why, err error) {
	t, err := s.line(ctx, class, deadline)
	if t.why != nil {
		s.shed[class].Add(1)
	}
	return t.n, t.why, err
}

func (s *State) line(ctx context.Context, class int, deadline time.Time) (ticket, error) {
	if ctx.Err() != nil {
		return ticket{}, exchange.Ended(ctx)
	}
	patience := s.config.Queue.MaxWait
	if !deadline.IsZero() {
		patience = min(patience, time.Until(deadline)-s.usual.get())
	}
	w, t := s.join(class, patience)
	if w == nil {
		return t, nil
	}
	timer, late := time.NewTimer(patience), ticket{why: &why{exchange.QueueTimeout, waitedDetail}}
	defer timer.Stop()
	select {
	case t := <-w.decided:
		return t, nil
	case <-timer.C:
		return s.leaveQueue(w, late), nil
	case <-ctx.Done():
	}
	if t := s.leaveQueue(w, ticket{}); t.n > 0 {
		s.leave()
	}
	err := exchange.Ended(ctx)
	if f, ok := errors.AsType[*exchange.Failure](err); ok && f.Kind == exchange.FailedTimeout {
		return late, nil // the upstream was not asked: it is not to blame
	}
	return ticket{}, err
}

// join puts a request into the queue, or says at once what becomes of it.
func (s *State) join(class int, patience time.Duration) (*waiter, ticket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.queue.n == 0 { // a place may have come free since
		if n, ok := s.take(); ok {
			return nil, ticket{n: n}
		}
	}
	if patience <= 0 {
		return nil, ticket{why: &why{exchange.QueueTimeout, lateDetail}}
	}
	now := time.Now()
	if s.queue.full() {
		evicted := s.queue.evict(class, now)
		if evicted == nil {
			return nil, ticket{why: &why{exchange.Overloaded, fullDetail}}
		}
		s.decide(evicted, ticket{why: &why{exchange.Overloaded, evictedDetail}})
	}
	w := s.queue.push(class, now)
	s.waiting.Add(1)
	s.serveLocked() // who left before that saw nobody waiting
	return w, ticket{}
}

// leaveQueue takes w out of the queue and returns t, unless something has
// become of it by then.
func (s *State) leaveQueue(w *waiter, t ticket) ticket {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.queue.remove(w) {
		return <-w.decided
	}
	s.waiting.Add(-1)
	return t
}
