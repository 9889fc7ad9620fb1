package ratelimit

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// queue is one leaky bucket: GCRA, as a cell is, and those who wait for their
// turn. It has one timer, for the first of them, and none while nobody waits.
type queue struct {
	*queues
	mu          sync.Mutex // guards all below
	tat         int64      // of those whose turn has come
	first, last *waiter
	length      int64
	timer       *time.Timer
}

// queues is what all queues of a policy have in common.
type queues struct {
	limit   *limit
	start   time.Time
	most    int64
	waiting atomic.Int64 // of all keys
}

// waiter is a request that waits for its turn.
type waiter struct {
	queue         *queue
	turn          chan struct{} // closed when it has come
	before, after *waiter
	turned        bool  // guarded by the queue's mu
	back          int64 // when what it has spent is back by itself
}

// take implements bucket. The request passes at once if it may, and waits if
// its turn comes within patience.
func (q *queue) take(now, patience int64) (level, *waiter, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.first == nil {
		q.tat = max(q.tat, now)
	}
	debt := q.debt(now) + q.limit.interval
	delay := debt - q.limit.free
	switch {
	case delay <= 0:
		q.tat += q.limit.interval
		return q.limit.level(debt), nil, true
	case delay > patience:
		return q.limit.refused(debt-q.limit.interval, patience), nil, false
	case q.waiting.Add(1) > q.most:
		q.waiting.Add(-1)
		return level{wait: q.limit.interval, full: debt - q.limit.interval}, nil, false
	}
	w := &waiter{queue: q, turn: make(chan struct{}), before: q.last, back: now + debt}
	if q.last == nil {
		q.first = w
	} else {
		q.last.after = w
	}
	q.last = w
	q.length++
	if q.first == w {
		q.wind(now)
	}
	return q.limit.level(debt), w, true
}

// debt returns what all who are here owe, those who wait included. q.mu is held.
func (q *queue) debt(now int64) int64 { return max(q.tat-now+q.length*q.limit.interval, 0) }

// due returns when the next turn comes. q.mu is held.
func (q *queue) due() int64 { return q.tat + q.limit.interval - q.limit.free }

// wind sets the timer for the turn of the first. q.mu is held.
func (q *queue) wind(now int64) {
	wait := time.Duration(max(q.due()-now, 0))
	if q.timer == nil {
		q.timer = time.AfterFunc(wait, q.fire)
		return
	}
	q.timer.Reset(wait)
}

// fire lets all go whose turn has come. A turn counts from when it was due: a
// timer that is late must not make the rate lower.
func (q *queue) fire() {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := int64(time.Since(q.start))
	for q.first != nil && q.due() <= now {
		w := q.first
		q.unlink(w)
		w.turned = true
		q.tat += q.limit.interval
		close(w.turn)
	}
	if q.first != nil {
		q.wind(now)
	}
}

// unlink takes w out of the queue. q.mu is held.
func (q *queue) unlink(w *waiter) {
	if w.before == nil {
		q.first = w.after
	} else {
		w.before.after = w.after
	}
	if w.after == nil {
		q.last = w.before
	} else {
		w.after.before = w.before
	}
	q.length--
	q.waiting.Add(-1)
}

// giveBack implements bucket, for one who has not waited.
func (q *queue) giveBack(_, now int64) level {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.refund(now)
	return q.limit.level(q.debt(now))
}

// refund gives a turn back: those who wait come to theirs sooner. q.mu is held.
func (q *queue) refund(now int64) {
	q.tat -= q.limit.interval
	if q.first != nil {
		q.wind(now)
	}
}

// look implements bucket.
func (q *queue) look(now int64) level {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.limit.level(q.debt(now))
}

// wait returns nil when the turn of w has come, or why ctx is done.
func (w *waiter) wait(ctx context.Context) error {
	select {
	case <-w.turn:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// leave gives back the place of w, or its turn if that has come: those behind
// move up. It is called once at most.
func (w *waiter) leave() level {
	q := w.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	now := int64(time.Since(q.start))
	switch {
	case w.turned && now >= w.back:
	case w.turned:
		q.refund(now)
	case q.first == w:
		q.unlink(w)
		if q.first != nil {
			q.wind(now)
		}
	default:
		q.unlink(w)
	}
	return q.limit.level(q.debt(now))
}
