package concurrency

import (
	"math"
	"time"
)

// experiment begins one if it is time. Calls that need fewer places already show
// what they take when nothing queues.
func (g *gradient) experiment(now time.Time) {
	lowered := max(g.min, math.Floor((g.limit-math.Sqrt(g.limit))*3/4), 1)
	needed := g.shrunk >= patience || !now.Before(g.due)
	if !needed || float64(g.seen.peak) <= lowered || g.seen.failures() > 0 {
		return
	}
	g.lowered, g.since, g.shrunk = lowered, now, 0
}

// observe is sample during an experiment: only the calls count that began in it
// and found the others gone.
func (g *gradient) observe(now time.Time, c call, took time.Duration, failed bool) {
	if !c.start.Before(g.since) && float64(c.n) <= g.lowered {
		g.seen.add(now, c, took, failed, g.base)
	}
	n, lasted := g.seen.served+g.seen.failed, now.Sub(g.since)
	enough := n >= g.cohort() || n >= minSamples && lasted >= time.Second
	if !enough && lasted < g.rest() {
		return
	}
	if n == 0 {
		g.lowered, g.due = 0, now.Add(g.rest())
		return
	}
	g.due = now.Add(g.rest())
	switch share := g.seen.failures(); {
	case share > 0:
		g.limit = max(g.limit*(1-share/2), g.min)
	default:
		g.believe(now, g.seen.took/float64(g.seen.served))
	}
	g.lowered, g.seen = 0, window{}
}

// giveUp ends an experiment that has lasted too long, and reports whether there
// was one. Where no call says anything, none else would: a fallback may answer
// them all for hours, and be short of places.
func (g *gradient) giveUp(now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.lowered == 0 || now.Sub(g.since) < g.rest() {
		return false
	}
	g.lowered, g.seen, g.due = 0, window{}, now.Add(g.rest())
	g.told.Store(int64(g.places()))
	return true
}

// believe moves the baseline to what an experiment showed: calls vary, so
// halfway where it is about the same, else all the way, and then it is asked
// again.
func (g *gradient) believe(now time.Time, took float64) {
	if math.Abs(took-g.base) <= g.base/4 {
		g.base += (took - g.base) / 2
		return
	}
	g.base, g.due = took, now.Add(again)
}

// cohort returns how many calls an experiment needs. Those that are quick end
// first, so it must not stop at the first few.
func (g *gradient) cohort() int { return min(max(4*minSamples, 4*int(g.lowered)), 4*maxSamples) }

func (g *gradient) rest() time.Duration {
	return max(rest, time.Duration(restCalls*g.base*float64(time.Second)))
}
