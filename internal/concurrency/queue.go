package concurrency

import (
	"container/list"
	"time"
)

// queue is who waits for a place. Lower classes go first. Within a class the
// first to come is the first to go, until the queue has not been empty for
// longer than anybody waits: from then on the last to come is. Those who have
// waited long would else all be served when it is nearly too late for them, and
// nobody in good time.
//
// Ben Maurer, "Fail at Scale", ACM Queue 13(8), 2015
// (https://queue.acm.org/detail.cfm?id=2839461), "Adaptive LIFO".
//
// It is guarded by the mutex of its State.
type queue struct {
	config  Queue
	classes []list.List // of *waiter, the oldest in front
	n       int
	since   time.Time // when it was last empty
}

// waiter is a request that waits.
type waiter struct {
	class   int
	at      *list.Element // nil: no longer in the queue
	decided chan ticket   // has room for the one that comes
}

func newQueue(c Queue, classes int) queue {
	return queue{config: c, classes: make([]list.List, classes)}
}

func (q *queue) full() bool { return q.n >= q.config.Max }

// standing reports whether the queue no longer empties by itself.
func (q *queue) standing(now time.Time) bool {
	return q.n > 0 && now.Sub(q.since) >= q.config.MaxWait
}

func (q *queue) push(class int, now time.Time) *waiter {
	if q.n == 0 {
		q.since = now
	}
	w := &waiter{class: class, decided: make(chan ticket, 1)}
	w.at = q.classes[class].PushBack(w)
	q.n++
	return w
}

// remove takes w out, and reports whether it was in.
func (q *queue) remove(w *waiter) bool {
	if w.at == nil {
		return false
	}
	q.classes[w.class].Remove(w.at)
	w.at = nil
	q.n--
	return true
}

// next takes out the one who is to be served; there must be one.
func (q *queue) next(now time.Time) *waiter {
	for i := range q.classes {
		class := &q.classes[i]
		if class.Len() == 0 {
			continue
		}
		at := class.Front()
		if q.standing(now) {
			at = class.Back()
		}
		w := at.Value.(*waiter)
		q.remove(w)
		return w
	}
	panic("concurrency: nobody waits")
}

// evict takes out the one who has the least prospect of a place, if that is
// less than a newcomer of class would have; else nil.
func (q *queue) evict(class int, now time.Time) *waiter {
	for i := len(q.classes) - 1; i >= class; i-- {
		at := q.classes[i].Back()
		if q.standing(now) {
			at = q.classes[i].Front()
		} else if i == class {
			return nil // a newcomer goes last
		}
		if at == nil {
			continue
		}
		w := at.Value.(*waiter)
		q.remove(w)
		return w
	}
	return nil
}
