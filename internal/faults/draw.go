package faults

import (
	"math"
	"net/http"
	"time"

	"sidecar/internal/exchange"
)

// draws are the random numbers of one fault and one attempt: the same for the
// same seed, name, request id and attempt number, on every machine.
//
// The numbers are those of SplitMix64 (Steele, Lea, Flood: "Fast Splittable
// Pseudorandom Number Generators", 2014), begun at the FNV-1a hash of the
// four. FNV alone would not do: its high bits hardly depend on the last byte.
type draws struct{ state uint64 }

const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

// start begins the numbers of a fault and the attempt r.
func (d *draws) start(seed int64, fault string, r *http.Request) {
	d.state = fnvOffset
	d.number(uint64(seed))
	d.word(fault)
	d.word(exchange.From(r.Context()).ID)
	d.number(uint64(exchange.AttemptOf(r).Number))
}

func (d *draws) word(s string) {
	for i := range len(s) {
		d.state = (d.state ^ uint64(s[i])) * fnvPrime
	}
	// An end, so that the fault a and the request bc are not ab and c.
	d.state = (d.state ^ 0xff) * fnvPrime
}

func (d *draws) number(n uint64) {
	for range 8 {
		d.state = (d.state ^ n&0xff) * fnvPrime
		n >>= 8
	}
}

// next returns a number from 0 to below 1.
func (d *draws) next() float64 {
	d.state += 0x9e3779b97f4a7c15
	z := d.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	z ^= z >> 31
	return float64(z>>11) / (1 << 53)
}

// below reports whether the next draw falls among percent of all.
func (d *draws) below(percent float64) bool { return d.next()*100 < percent }

// delay draws how long delay is this time.
func (d *draws) delay(delay Delay) time.Duration {
	if delay.Jitter == 0 {
		return delay.Fixed
	}
	off := 2*d.next() - 1
	if delay.Distribution == normal {
		off = d.normal()
	}
	return max(0, delay.Fixed+time.Duration(off*float64(delay.Jitter)))
}

// normal draws from the normal distribution around 0, of standard deviation 1
// (Box, Muller: "A Note on the Generation of Random Normal Deviates", 1958). It
// is never 9 or more.
func (d *draws) normal() float64 {
	far, around := 1-d.next(), d.next() // the logarithm of 0 is none
	return math.Sqrt(-2*math.Log(far)) * math.Cos(2*math.Pi*around)
}

// gap draws how many follow in which nothing happens that happens to one in
// percent of all.
func (d *draws) gap(percent float64) int64 {
	if percent >= 100 {
		return 0
	}
	return int64(min(math.Log(1-d.next())/math.Log1p(-percent/100), 1<<62))
}
