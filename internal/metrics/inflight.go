package metrics

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

var inFlightLevel = level("http_requests_in_flight", "Requests that have begun and not ended.", "route")

// inFlight counts the requests of each route that have begun and not ended. A
// request may outlive its route, and must be counted out where it was counted
// in: so nothing is forgotten here, and the series of a route that is gone stay
// until it has no requests.
type inFlight struct {
	later  *later
	routes *memo[string, *route] // that there are
	of     memo[string, *atomic.Int64]
}

func (f *inFlight) in(route string) { f.of.get(route).Add(1) }

func (f *inFlight) out(route string) { f.of.get(route).Add(-1) }

// Describe implements prometheus.Collector.
func (f *inFlight) Describe(ch chan<- *prometheus.Desc) { ch <- inFlightLevel }

// Collect implements prometheus.Collector.
func (f *inFlight) Collect(ch chan<- prometheus.Metric) {
	there := f.routes.held().all
	for name, n := range f.now() {
		if _, ok := there[name]; ok || n > 0 {
			is(ch, inFlightLevel, float64(n), name)
		}
	}
}

// now returns how many there are, by route. Who begins meanwhile finds the batch
// held, and is counted at once: nobody is out who is not yet in.
func (f *inFlight) now() map[string]int64 {
	f.later.ended.settle()
	begun := &f.later.begun
	begun.mu.Lock()
	defer begun.mu.Unlock()
	begun.flush()
	all := map[string]int64{}
	for name, n := range f.of.held().all {
		all[name] = n.Load()
	}
	return all
}
