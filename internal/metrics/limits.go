package metrics

import "github.com/prometheus/client_golang/prometheus"

// LimitLevel is how a limit of concurrent calls stands. What it has shed only
// ever grows, until the policy makes another of it; it is nil of one in shadow.
type LimitLevel struct {
	Name                    string
	Limit, InFlight, Queued int
	Baseline                float64 // in seconds; 0: none is known
	Shed                    map[string]uint64
}

var (
	concurrencyLimit = level("concurrency_limit",
		"How many calls the upstream may have at a time, as set or as found. A limit that is found is lowered for moments, to measure, which is not told here.", "name")
	concurrencyInFlight = level("concurrency_in_flight",
		"How many calls have a place now; of one in shadow this may be more than the limit.", "name")
	concurrencyQueued = level("concurrency_queued",
		"How many requests wait for a place now.", "name")
	concurrencyBaseline = level("concurrency_baseline_seconds",
		"How long the upstream takes to answer when nothing queues there. Only where the limit is found, once it is known.", "name")
	concurrencyShed = level("concurrency_shed_total",
		"Requests that were refused for want of a place, by class. One in shadow has no series.", "name", "class")
)

func (l LimitLevel) tell(ch chan<- prometheus.Metric) {
	is(ch, concurrencyLimit, float64(l.Limit), l.Name)
	is(ch, concurrencyInFlight, float64(l.InFlight), l.Name)
	is(ch, concurrencyQueued, float64(l.Queued), l.Name)
	if l.Baseline > 0 {
		is(ch, concurrencyBaseline, l.Baseline, l.Name)
	}
	for class, n := range l.Shed {
		counted(ch, concurrencyShed, n, l.Name, class)
	}
}
