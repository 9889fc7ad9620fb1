package metrics

import (
	"context"

	"sidecar/internal/exchange"
)

// Moments implements exchange.Selective.
func (*Metrics) Moments() exchange.Moments {
	return exchange.AtBegin | exchange.AtAttempted | exchange.AtEnd
}

// Begin counts a request in.
func (m *Metrics) Begin(ctx context.Context, r *exchange.Record) context.Context {
	m.later.begun.add(r.Route)
	return ctx
}

// Attempted counts a.
func (m *Metrics) Attempted(_ context.Context, r *exchange.Record, a *exchange.Attempt) {
	if a.Failure == nil && a.Replays == 0 {
		m.later.attempted.add(seenAttempt{r.Route, a.Upstream, a.Status, a.Took})
		return
	}
	rt, key := m.routes.get(r.Route), attempt{upstream: a.Upstream, status: a.Status}
	if a.Failure != nil {
		key.status, key.failure = 0, a.Failure.Kind
	}
	rt.attempted(key, a.Took)
	if a.Replays > 0 {
		rt.attempts.get(attempt{upstream: a.Upstream, failure: replayed}).Add(float64(a.Replays))
	}
}

// End counts the request, and out, and what the policies said to it.
func (m *Metrics) End(_ context.Context, r *exchange.Record) {
	s := seenEnd{route: r.Route, method: methodOf(r.Method), status: r.Status, took: r.Took}
	var usual bool
	if s.said, usual = r.Passes(); usual {
		m.later.ended.add(s)
		return
	}
	m.ended(s).said(r.Notes())
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
