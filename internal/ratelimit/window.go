package ratelimit

import (
	"sync"
	"time"
)

// parts is how many parts a sliding window has. A part is forgotten as a
// whole, once all of it is out of the window: so there are never more requests
// in a window than the limit says, and what was spent comes back up to one part
// late. Two counters, as many limiters have, would be less to keep, and would
// let nearly twice the limit by.
const parts = 10

// window is one sliding window. Its parts are numbered from when its Buckets
// began; the one that is under way makes them one more.
type window struct {
	limit *windowLimit

	mu     sync.Mutex // guards all below
	newest int64
	counts [parts + 1]int32
}

// windowLimit is so many requests in a window.
type windowLimit struct {
	most int64
	part int64 // how long it takes, in nanoseconds
}

func newWindowLimit(c Config) *windowLimit {
	return &windowLimit{most: int64(c.Rate.Count), part: int64(c.Rate.Per / parts)}
}

// life is how long a window remembers.
func (l *windowLimit) life() time.Duration { return time.Duration((parts + 1) * l.part) }

// take implements bucket.
func (w *window) take(now, _ int64) (level, *waiter, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.advance(now)
	before := w.level(now)
	if before.remaining == 0 {
		return before, nil, false
	}
	w.counts[w.newest%int64(len(w.counts))]++
	return w.level(now), nil, true
}

// giveBack implements bucket.
func (w *window) giveBack(taken, now int64) level {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.advance(now)
	part := taken / w.limit.part
	if count := &w.counts[part%int64(len(w.counts))]; w.newest-part <= parts && *count > 0 {
		*count--
	}
	return w.level(now)
}

// look implements bucket.
func (w *window) look(now int64) level {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.advance(now)
	return w.level(now)
}

// advance forgets what is out of the window. w.mu is held.
func (w *window) advance(now int64) {
	at := now / w.limit.part
	if at-w.newest > parts {
		clear(w.counts[:])
		w.newest = at
	}
	for w.newest < at {
		w.newest++
		w.counts[w.newest%int64(len(w.counts))] = 0
	}
}

// level counts the window. w.mu is held.
func (w *window) level(now int64) level {
	now = max(now, w.newest*w.limit.part) // another request may have come later, and been here before
	var l level
	spent := int64(0)
	for _, count := range w.counts {
		spent += int64(count)
	}
	l.remaining = max(w.limit.most-spent, 0)
	for part := w.newest - parts; part <= w.newest; part++ { // the oldest first
		if part < 0 {
			continue
		}
		count := int64(w.counts[part%int64(len(w.counts))])
		if count == 0 {
			continue
		}
		l.full = (part+parts+1)*w.limit.part - now
		if spent >= w.limit.most {
			l.wait = l.full
		}
		spent -= count
	}
	return l
}
