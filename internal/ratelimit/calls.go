package ratelimit

import (
	"slices"
	"sync/atomic"
	"time"
)

// bounds are what the time of calls is counted by, in seconds.
var bounds = [...]float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5}

// calls counts what a store was asked. It is safe for concurrent use.
type calls struct {
	answered, failed, skipped atomic.Uint64

	took  [len(bounds)]atomic.Uint64 // by the first bound that is long enough
	nanos atomic.Int64
}

func (c *calls) done(took time.Duration, err error) {
	if err != nil {
		c.failed.Add(1)
	} else {
		c.answered.Add(1)
	}
	c.nanos.Add(int64(took))
	if i, _ := slices.BinarySearch(bounds[:], took.Seconds()); i < len(c.took) {
		c.took[i].Add(1)
	}
}

func (c *calls) status() StoreStatus {
	st := StoreStatus{Took: make(map[float64]uint64, len(bounds)), TookSum: time.Duration(c.nanos.Load()).Seconds()}
	sum := uint64(0)
	for i, bound := range bounds {
		sum += c.took[i].Load()
		st.Took[bound] = sum
	}
	// After what is part of them, lest the part is more than the whole.
	st.Answered, st.Failed, st.Skipped = c.answered.Load(), c.failed.Load(), c.skipped.Load()
	return st
}
