package metrics

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sidecar/internal/exchange"
)

// route holds the series of one route.
type route struct {
	duration  memo[string, prometheus.Observer] // by method
	requests  memo[request, prometheus.Counter]
	attempts  memo[attempt, prometheus.Counter]
	took      memo[string, prometheus.Observer] // by upstream
	decisions memo[decision, []prometheus.Counter]
	passing   passing
}

// What tells the series of one route apart.
type (
	request struct {
		method string
		status int
	}
	attempt struct {
		upstream string
		status   int
		failure  exchange.FailureKind
	}
	decision struct {
		kind, policy string
		outcome      exchange.Outcome
		reason       exchange.Reason
		rule         string
	}
)

// replayed stands in attempt.failure for a call that net/http's Transport
// wrote again by itself.
const replayed exchange.FailureKind = "replayed"

// Routes says which routes there are; it is called at start and after each
// reload. The series that alerts divide by and watch begin at 0, so that the
// first failure shows as an increase. The series of a route that is gone go
// with it; a request that outlives its route brings them back until the next
// reload, so it is not lost.
func (m *Metrics) Routes(names []string) {
	names = append(slices.Clone(names), exchange.NoRouteName)
	m.later.settle() // else what comes last would bring back the series of a route that is gone
	m.routes.retain(
		func(name string) bool { return slices.Contains(names, name) },
		func(gone string) {
			for _, v := range m.vectors.all() {
				v.DeletePartialMatch(prometheus.Labels{"route": gone})
			}
		},
	)
	for _, name := range names {
		r := m.routes.get(name)
		m.inFlight.of.get(name)
		r.zero()
		r.passing.turn()
	}
}

func newRoute(name string, v *vectors) *route {
	r := &route{}
	v.budgetSpent.WithLabelValues(name)
	r.requests.make = func(k request) prometheus.Counter {
		return v.requests.WithLabelValues(name, k.method, strconv.Itoa(k.status))
	}
	r.duration.make = func(method string) prometheus.Observer {
		return v.duration.WithLabelValues(name, method)
	}
	r.attempts.make = func(k attempt) prometheus.Counter {
		code := string(k.failure)
		if code == "" {
			code = strconv.Itoa(k.status)
		}
		return v.attempts.WithLabelValues(name, k.upstream, code)
	}
	r.took.make = func(upstream string) prometheus.Observer {
		return v.attemptTook.WithLabelValues(name, upstream)
	}
	r.decisions.make = func(k decision) []prometheus.Counter { return v.decided(name, k) }
	r.passing.known.most = maxTallies
	r.passing.known.make = func(all exchange.Passes) *tally { return r.passing.begin(all, &r.decisions) }
	return r
}

// zero makes the series that an error rate is made of. Which other codes and
// methods a route has is known only when they come.
func (r *route) zero() {
	for _, status := range []int{200, 500, 502, 503, 504} {
		r.requests.get(request{http.MethodGet, status})
	}
	r.duration.get(http.MethodGet)
}

// attempted counts an attempt.
func (r *route) attempted(key attempt, took time.Duration) {
	r.attempts.get(key).Inc()
	r.took.get(key.upstream).Observe(took.Seconds())
}

// ended counts an exchange, but for what the policies said, and returns its
// route.
func (m *Metrics) ended(s seenEnd) *route {
	m.inFlight.out(s.route)
	r := m.routes.get(s.route)
	r.requests.get(request{s.method, s.status}).Inc()
	r.duration.get(s.method).Observe(s.took.Seconds())
	return r
}

// said counts what the policies said; nil is nothing.
func (r *route) said(notes []*exchange.Decision) {
	place := 0
	for _, d := range notes {
		if d == nil {
			continue
		}
		var series []prometheus.Counter
		series, place = r.decisions.find(keyOf(d), place)
		for _, c := range series {
			c.Inc()
		}
	}
}

// decided returns what a decision adds one to.
func (v *vectors) decided(route string, k decision) []prometheus.Counter {
	all := []prometheus.Counter{
		v.decisions.WithLabelValues(route, k.kind, k.policy, string(k.outcome), string(k.reason)),
	}
	acted := k.outcome == exchange.Act
	switch {
	case k.kind == exchange.Authz:
		all = append(all, v.rules.WithLabelValues(route, k.policy, k.rule, string(k.outcome)))
	case k.kind == exchange.Retry && k.reason == exchange.BudgetExhausted:
		all = append(all, v.budgetSpent.WithLabelValues(route))
	case k.kind == exchange.Retry && k.reason == exchange.BodyNotReplayable:
		all = append(all, v.bodies.WithLabelValues(route, k.policy))
	case k.kind == exchange.Retry && (k.reason == exchange.HedgeWon || k.reason == exchange.HedgeLost):
		does := strings.TrimPrefix(string(k.reason), "hedge_")
		all = append(all, v.hedges.WithLabelValues(route, k.policy, does))
	case k.kind == exchange.Retry && acted && k.reason != exchange.Hedged:
		all = append(all, v.retries.WithLabelValues(route, string(k.reason)))
	case k.kind == exchange.Fault && acted:
		does := strings.TrimPrefix(string(k.reason), "fault_")
		all = append(all, v.faults.WithLabelValues(route, k.policy, does))
	}
	return all
}
