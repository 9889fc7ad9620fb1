package metrics

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"sidecar/internal/exchange"
)

// Moments implements exchange.Selective.
func (*Metrics) Moments() exchange.Moments {
	return exchange.AtBegin | exchange.AtAttempted | exchange.AtEnd
}

// Begin counts a request in.
func (m *Metrics) Begin(ctx context.Context, r *exchange.Record) context.Context {
	m.routes.get(r.Route).inFlight.Inc()
	return ctx
}

// Attempted counts a.
func (m *Metrics) Attempted(_ context.Context, r *exchange.Record, a *exchange.Attempt) {
	m.routes.get(r.Route).attempted(a)
}

func (r *route) attempted(a *exchange.Attempt) {
	key := attempt{upstream: a.Upstream, status: a.Status}
	if a.Failure != nil {
		key.status, key.failure = 0, a.Failure.Kind
	}
	r.attempts.get(key).Inc()
	if a.Replays > 0 {
		r.attempts.get(attempt{upstream: a.Upstream, failure: replayed}).Add(float64(a.Replays))
	}
	r.took.get(a.Upstream).Observe(a.Took.Seconds())
}

// End counts the request, and out, and what the policies said to it.
func (m *Metrics) End(_ context.Context, r *exchange.Record) {
	rt, method := m.routes.get(r.Route), methodOf(r.Method)
	rt.inFlight.Dec()
	rt.requests.get(request{method, r.Status}).Inc()
	rt.duration.get(method).Observe(r.Took.Seconds())
	if all, ok := r.Passes(); ok && rt.passing.count(all) {
		return
	}
	place := 0
	for _, d := range r.Notes() {
		var said []prometheus.Counter
		said, place = rt.decisions.find(keyOf(d), place)
		for _, c := range said {
			c.Inc()
		}
	}
}

// Event counts the transitions of a breaker that is not in shadow, experiments,
// and the credentials that admin refused. It never objects.
func (m *Metrics) Event(e exchange.Event) error {
	if e.Kind == exchange.Admin {
		m.adminAuth.Inc()
	}
	if e.Kind == exchange.Experiment {
		m.experiment(e)
	}
	if e.Kind == exchange.CircuitBreaker && !e.Shadow {
		m.transitions.add(e.Name, e.From, e.To)
	}
	return nil
}

// outcomes are what may come of an experiment.
var outcomes = []string{"held", "broken", "refused", "inconclusive", "aborted"}

// experiment counts one that begins or ends.
func (m *Metrics) experiment(e exchange.Event) {
	if e.From == "" {
		m.trials.Inc()
		return
	}
	m.trials.Dec()
	m.experiments.WithLabelValues(e.To).Inc()
}

// methodOf returns the label of method: what clients invent must not make
// series.
func methodOf(method string) string {
	if exchange.KnownMethod(method) {
		return method
	}
	return "_OTHER"
}
