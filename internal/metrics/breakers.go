package metrics

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// BreakerLevel is the state of one breaker: closed, half-open, open, or a
// word of its own for one that an operator holds; and what it has counted, which
// only ever grows until the policy makes another of it.
type BreakerLevel struct {
	Name, State      string
	Calls            uint64
	Failures, Slowed uint64 // of Calls
}

var (
	breakerCalls = level("circuit_breaker_calls_total",
		"Upstream calls that the circuit breaker has judged, by outcome: success or failure. One in shadow has no series.", "name", "outcome")
	breakerSlow = level("circuit_breaker_slow_calls_total",
		"Upstream calls that took longer than the circuit breaker's slow.over, failed or not. One in shadow has no series.", "name")
)

func (b BreakerLevel) tell(ch chan<- prometheus.Metric) {
	counted(ch, breakerCalls, b.Calls-b.Failures, b.Name, "success")
	counted(ch, breakerCalls, b.Failures, b.Name, "failure")
	counted(ch, breakerSlow, b.Slowed, b.Name)
}

// transitions counts the transitions of breakers. Those of endpoints come and
// go with the endpoints, and so do their series.
type transitions struct {
	*prometheus.CounterVec

	mu    sync.Mutex      // guards known
	known map[string]bool // breakers with series; true: heard of since the last scrape
}

// add counts a transition.
func (t *transitions) add(name, from, to string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.known[name] = true
	t.WithLabelValues(name, from, to).Inc()
}

// are says which breakers there are. Each has its series from then on: a first
// opening must show as an increase. Those of one that is gone end with the
// scrape after the next.
func (t *transitions) are(breakers []BreakerLevel) {
	t.mu.Lock()
	defer t.mu.Unlock()
	there := make(map[string]bool, len(breakers))
	for _, b := range breakers {
		there[b.Name], t.known[b.Name] = true, true
		for _, way := range ways {
			t.WithLabelValues(b.Name, way.from, way.to)
		}
	}
	for name, lately := range t.known {
		switch {
		case there[name]:
		case lately:
			t.known[name] = false
		default:
			delete(t.known, name)
			t.DeletePartialMatch(prometheus.Labels{"name": name})
		}
	}
}

// ways are the transitions that a breaker makes by itself.
var ways = []struct{ from, to string }{
	{closed, open}, {open, halfOpen}, {halfOpen, open}, {halfOpen, closed},
}
