package breaker

import "time"

// buckets is how many parts the window has: an outcome is forgotten a tenth
// of the window early at most.
const buckets = 10

// window counts outcomes by when they ended.
type window struct {
	start  time.Time     // of bucket number 0; monotonic, so a clock that is set changes nothing
	span   time.Duration // of one bucket
	newest int64         // its number
	counts [buckets]struct{ requests, failures int }
}

func newWindow(d time.Duration, now time.Time) window {
	return window{start: now, span: d / buckets}
}

// roll forgets what is too old.
func (w *window) roll(now time.Time) {
	number := int64(now.Sub(w.start) / w.span)
	for w.newest = max(w.newest, number-buckets); w.newest < number; {
		w.newest++
		w.counts[w.newest%buckets] = struct{ requests, failures int }{}
	}
}

func (w *window) add(now time.Time, failed bool) {
	w.roll(now)
	bucket := &w.counts[w.newest%buckets]
	bucket.requests++
	if failed {
		bucket.failures++
	}
}

func (w *window) sum(now time.Time) (requests, failures int) {
	w.roll(now)
	for _, b := range w.counts {
		requests += b.requests
		failures += b.failures
	}
	return requests, failures
}
