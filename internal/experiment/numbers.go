package experiment

import (
	"math/bits"
	"time"

	"sidecar/internal/exchange"
)

// numbers are how requests fared in one part of an experiment.
type numbers struct {
	exchange.Tally
	took histogram
}

func (n *numbers) add(failed, slow bool, took time.Duration) {
	n.Add(failed, slow)
	n.took.add(took)
}

// Numbers are how requests fared.
type Numbers struct {
	Requests     int     `json:"requests"`
	Errors       int     `json:"errors"`
	ErrorPercent float64 `json:"errorPercent"`
	P50          string  `json:"p50"`
	P99          string  `json:"p99"`
}

func (n *numbers) told() Numbers {
	return Numbers{
		Requests: n.Requests, Errors: n.Errors, ErrorPercent: rounded(n.Percent(n.Errors)),
		P50: n.took.quantile(0.50).String(), P99: n.took.quantile(0.99).String(),
	}
}

func rounded(percent float64) float64 { return float64(int64(percent*1000+0.5)) / 1000 }

// histogram counts durations in buckets that are a 16th wide of where they
// begin, so that what it tells is at most so much above the truth.
type histogram struct {
	counts [buckets]uint32
	total  uint64
}

const (
	parts   = 16
	buckets = 40 * parts // up to about 12 days
)

// bucket returns the place of d, in microseconds: those below 2*parts have one
// each.
func bucket(d time.Duration) int {
	us := uint64(max(0, d.Microseconds()))
	shift := max(0, bits.Len64(us)-bits.Len64(2*parts-1))
	return min(shift*parts+int(us>>shift), buckets-1)
}

// upper returns the longest duration of a bucket.
func upper(i int) time.Duration {
	if i < 2*parts {
		return time.Duration(i) * time.Microsecond
	}
	shift := i/parts - 1
	from := uint64(parts+i%parts) << shift
	return time.Duration(from+1<<shift-1) * time.Microsecond
}

func (h *histogram) add(d time.Duration) {
	h.counts[bucket(d)]++
	h.total++
}

// quantile returns the time within which the share q of all were done; 0 of
// none.
func (h *histogram) quantile(q float64) time.Duration {
	rank := max(1, uint64(q*float64(h.total)+0.999999))
	var seen uint64
	for i, n := range h.counts {
		if seen += uint64(n); n > 0 && seen >= rank {
			return upper(i)
		}
	}
	return 0
}
