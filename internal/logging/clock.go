package logging

import (
	"strings"
	"sync/atomic"
	"time"
)

// clock writes times as time.RFC3339Nano does. It keeps the text of the second
// that it wrote last: all of a line's time but the fraction takes longer than the
// rest of the line. The zero clock is ready; it is safe for concurrent use.
type clock struct{ last atomic.Pointer[second] }

// second is the text of one second. It does not change.
type second struct {
	unix       int64
	zone       *time.Location
	date, rest string // what stands before its fraction, and behind it
}

// append appends t.
func (c *clock) append(b []byte, t time.Time) []byte {
	s := c.last.Load()
	if unix, zone := t.Unix(), t.Location(); s == nil || s.unix != unix || s.zone != zone {
		s = newSecond(t)
		c.last.Store(s)
	}
	return append(appendFraction(append(b, s.date...), t.Nanosecond()), s.rest...)
}

func newSecond(t time.Time) *second {
	text := t.Format("2006-01-02T15:04:05 Z07:00") // in one piece: it is read with every line
	date, rest, _ := strings.Cut(text, " ")
	return &second{t.Unix(), t.Location(), date, rest}
}

// appendFraction appends a point and the digits of nanos, but for the zeros at
// their end; nothing if there are no others.
func appendFraction(b []byte, nanos int) []byte {
	if nanos == 0 {
		return b
	}
	digits := 9
	for ; nanos%10 == 0; digits-- {
		nanos /= 10
	}
	const room = ".000000000"
	b = append(b, room[:1+digits]...)
	for i := len(b) - 1; nanos > 0; i-- {
		b[i] = byte('0' + nanos%10)
		nanos /= 10
	}
	return b
}
