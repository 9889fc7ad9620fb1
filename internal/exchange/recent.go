package exchange

import "time"

// recentParts is how many parts the past is kept in.
const recentParts = 10

// Recent keeps what was counted within the last span, in ten parts: what is
// forgotten is so a tenth of the span early at most. P is what one part counts;
// its zero value is nothing. A Recent is not safe for concurrent use.
type Recent[P any] struct {
	start  time.Time     // of part number 0; monotonic, so a clock that is set changes nothing
	length time.Duration // of one part
	newest int64         // its number
	parts  [recentParts]P
}

// NewRecent returns a Recent that begins now. span is 10 ns at least.
func NewRecent[P any](span time.Duration, now time.Time) Recent[P] {
	return Recent[P]{start: now, length: span / recentParts}
}

// At returns the part that counts what happens now.
func (r *Recent[P]) At(now time.Time) *P {
	r.forget(now.Sub(r.start))
	return &r.parts[r.newest%recentParts]
}

// Now is At of this moment, without a look at the calendar: half the price.
func (r *Recent[P]) Now() *P {
	r.forget(time.Since(r.start))
	return &r.parts[r.newest%recentParts]
}

// All returns the parts that are not forgotten by now, in no order. The caller
// must not keep it.
func (r *Recent[P]) All(now time.Time) []P {
	r.forget(now.Sub(r.start))
	return r.parts[:]
}

// forget makes room for the part that holds at, since start.
func (r *Recent[P]) forget(at time.Duration) {
	number := int64(at / r.length)
	for r.newest = max(r.newest, number-recentParts); r.newest < number; {
		r.newest++
		var nothing P
		r.parts[r.newest%recentParts] = nothing
	}
}
