package concurrency

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// gradient finds how many calls an upstream can work on at a time.
//
// By Little's law, of N calls in flight that take the time t each, N*(b/t) are
// being worked on and the others queue there, where b, the baseline, is the time
// that a call takes which need not queue. So after each window of calls the
// limit moves towards
//
//	N * b/t + sqrt(limit)
//
// as in Netflix' Gradient2 (https://github.com/Netflix/concurrency-limits) and,
// before it, TCP Vegas (Brakmo, Peterson, "TCP Vegas: End to End Congestion
// Avoidance on a Global Internet", 1995): upwards only when the limit is what
// holds calls back, and with the share of failures taken off. The root is the
// queue that is allowed for, so that the upstream never idles.
//
// All hangs on the baseline. A minimum is too low for times that vary, and an
// average that follows what is measured takes the queue itself for normal, bit
// by bit, and the limit grows for ever. So it rises only by an experiment: now
// and then the limit is lowered to three quarters of what is being worked on,
// which empties the upstream's queue, and what the calls take that begin then is
// the baseline. It is TCP BBR's ProbeRTT (Cardwell et al., "BBR:
// Congestion-Based Congestion Control", ACM Queue 14(5), 2016), which costs less
// than to stop nearly all calls.
type gradient struct {
	min, max float64
	told     *atomic.Int64 // where the limit is told; stored under mu, or an older one might come last

	mu      sync.Mutex // guards all below
	limit   float64
	base    float64 // in seconds; 0 is unknown
	seen    window
	shrunk  int       // windows in a row
	due     time.Time // when there is to be an experiment
	lowered float64   // the limit during an experiment; 0: there is none
	since   time.Time // when it began
}

// window is what a number of calls showed.
type window struct {
	start  time.Time
	served int
	failed int
	took   float64 // seconds, in all
	flight float64 // how many were in flight when each began, in all
	peak   int64
}

const (
	initialLimit = 20

	minWindow  = 100 * time.Millisecond
	minSamples = 10 // and one for each place,
	maxSamples = 50 // up to here

	// longest is the most that a call counts for, in baselines: one that hangs
	// must not stand for all others.
	longest = 4

	// A window that has so many failures in it for each call is no sign of
	// anything: some upstreams always fail a little.
	fewFailures = 0.05

	// patience is how many windows in a row may lower the limit until it is
	// asked whether the baseline is still true.
	patience = 5

	rest      = 10 * time.Second // between two experiments, at least,
	restCalls = 100              // and so many baselines
	again     = time.Second      // where the last one moved the baseline
)

// newGradient returns one that tells its limit in told, from now on.
func newGradient(low, high int, told *atomic.Int64) *gradient {
	g := &gradient{
		min: float64(low), max: float64(high), told: told,
		limit: float64(min(max(low, initialLimit), high)),
	}
	told.Store(int64(g.places()))
	return g
}

// places returns how many calls there may be now.
func (g *gradient) places() int {
	if g.lowered > 0 {
		return int(g.lowered)
	}
	return int(math.Round(g.limit))
}

// found returns the limit apart from an experiment.
func (g *gradient) found() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return int(math.Round(g.limit))
}

// baseline returns how long the upstream takes for a call that need not queue
// there; 0 while that is not known.
func (g *gradient) baseline() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	return time.Duration(g.base * float64(time.Second))
}

// sample takes in that c took so long until now. It reports whether there are
// more places for that.
func (g *gradient) sample(now time.Time, c call, took time.Duration, failed bool) (more bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	before := g.places()
	switch {
	case g.lowered == 0:
		g.seen.add(now, c, took, failed, g.base)
		if g.seen.ready(now, g.limit) {
			g.judge(now)
			g.seen = window{}
		}
	default:
		g.observe(now, c, took, failed)
	}
	g.told.Store(int64(g.places()))
	return g.places() > before
}

func (w *window) add(now time.Time, c call, took time.Duration, failed bool, base float64) {
	if w.start.IsZero() {
		w.start = now
	}
	w.peak = max(w.peak, c.n)
	if failed {
		w.failed++
		return
	}
	seconds := took.Seconds()
	if base > 0 {
		seconds = min(seconds, longest*base)
	}
	w.served++
	w.took += seconds
	w.flight += float64(c.n)
}

func (w *window) ready(now time.Time, limit float64) bool {
	need := min(max(minSamples, int(limit)), maxSamples)
	return w.served+w.failed >= need && now.Sub(w.start) >= minWindow
}

// failures returns the share of them, if it says anything.
func (w *window) failures() float64 {
	share := float64(w.failed) / float64(w.served+w.failed)
	if share <= fewFailures {
		return 0
	}
	return share
}

// judge moves the limit by what the window shows.
func (g *gradient) judge(now time.Time) {
	w, room := &g.seen, math.Sqrt(g.limit)
	share := 1.0
	target := g.limit
	if w.served > 0 {
		took, flight := w.took/float64(w.served), w.flight/float64(w.served)
		g.learn(took, w)
		share = min(1, g.base/took)
		full := float64(w.peak) >= math.Round(g.limit)
		switch working := flight * share; {
		case working+room < flight:
			target = min(g.limit, working+room)
		case full:
			target = max(g.limit, g.limit*share+room)
		}
	}
	target *= 1 - w.failures()/2
	g.limit = min(max(g.limit+(target-g.limit)/2, g.min), g.max)
	if target >= g.limit {
		g.shrunk = 0
	} else {
		g.shrunk++
	}
	g.experiment(now)
}

// learn lets the baseline follow what a window shows beyond doubt: that calls
// take less, or that they take more while there are so few that they cannot be
// in each other's way.
func (g *gradient) learn(took float64, w *window) {
	switch quiet := float64(w.peak) <= math.Sqrt(g.limit) && w.failures() == 0; {
	case g.base == 0:
		g.base = took
	case took < g.base || quiet:
		g.base += (took - g.base) / 5
		if took < g.base*3/4 {
			g.due = time.Time{} // it is a lot less, and what else is in it only an experiment tells
		}
	}
}
