// Package metrics counts what the sidecar does, for Prometheus.
//
// It is an observer: it reads the record of each exchange and decides
// nothing. What happens is counted by the next scrape; what is (the state of a
// breaker, a fault that is on, the rest of a budget) is read when somebody
// scrapes, so no level can be stale. docs/metrics.md, which is made from the
// registry, lists every metric.
//
// Every label value comes from the policy file, from the code or from the
// upstream, never from a client: a route is its name, not a path, and a
// method outside RFC 9110 and RFC 5789 is _OTHER. So the number of series is
// bounded by the policy, whatever clients send.
package metrics

import (
	"net/http"
	"regexp"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"sidecar/internal/exchange"
)

var (
	_ exchange.Observer      = (*Metrics)(nil)
	_ exchange.EventObserver = (*Metrics)(nil)
)

// namespace is before every name of our own.
const namespace = "sidecar"

// Metrics counts exchanges and events. There is one for the life of the
// process: a reload changes its routes, never its counts. It is safe for
// concurrent use.
type Metrics struct {
	exchange.NoAttempts // of their beginning; Attempted counts them

	registry *prometheus.Registry

	vectors  vectors
	routes   memo[string, *route] // the series of vectors
	later    later                // what is to be counted in them
	inFlight inFlight

	transitions transitions
	experiments *prometheus.CounterVec
	trials      prometheus.Gauge
	adminAuth   prometheus.Counter
	reloadOK    prometheus.Gauge
	reloadTime  prometheus.Gauge

	levels atomic.Pointer[func() Levels]
}

// liveHeap is what the last garbage collection found in use. All else that Go
// tells of its heap rises and falls between collections, and hides a leak.
var liveHeap = collectors.GoRuntimeMetricsRule{Matcher: regexp.MustCompile(`^/gc/heap/live:bytes$`)}

// BuildInfo says which program this is.
type BuildInfo struct{ Version, Revision, GoVersion string }

// New returns Metrics in a registry of their own, beside those of the Go
// runtime, the process and the build.
func New(build BuildInfo) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		vectors:  newVectors(),
		transitions: transitions{known: map[string]bool{}, CounterVec: counters("circuit_breaker_transitions_total",
			"Changes of state of each circuit breaker that is not in shadow.",
			"name", "from", "to")},
		experiments: counters("experiments_total",
			"Experiments that have ended: held, broken, refused, inconclusive or aborted.", "outcome"),
		trials: prometheus.NewGauge(gauge("experiments_running", "Experiments that have begun and not ended.")),
		adminAuth: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: namespace, Name: "admin_auth_failures_total",
			Help: "Requests to admin whose credential was missing, unknown or a viewer's; of one address ten of a sort a minute count.",
		}),
		reloadOK: prometheus.NewGauge(gauge("config_last_reload_successful",
			"Whether the last attempt to load the policy file succeeded.")),
		reloadTime: prometheus.NewGauge(gauge("config_last_reload_success_timestamp_seconds",
			"When the policy file was last loaded with success, in seconds since 1970.")),
	}
	m.routes.make = func(name string) *route { return newRoute(name, &m.vectors) }
	m.inFlight.later, m.inFlight.routes = &m.later, &m.routes
	m.inFlight.of.make = func(string) *atomic.Int64 { return new(atomic.Int64) }
	m.countLater()

	info := gauge("build_info", "Which program this is; always 1.")
	info.ConstLabels = prometheus.Labels{
		"version": build.Version, "revision": build.Revision, "goversion": build.GoVersion,
	}
	program := prometheus.NewGauge(info)
	program.Set(1)

	m.registry.MustRegister(
		collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(liveHeap)),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		collectors.NewBuildInfoCollector(),
		program, m.experiments, m.trials, m.adminAuth, m.reloadOK, m.reloadTime,
		levelCollector{m}, &m.inFlight,
	)
	for _, v := range m.vectors.all() {
		m.registry.MustRegister(settledBefore{v, m.settle})
	}
	for _, outcome := range outcomes {
		m.experiments.WithLabelValues(outcome)
	}
	m.Routes(nil)
	return m
}

// settle adds to the series what was only seen, or tallied, so far.
func (m *Metrics) settle() {
	m.later.settle()
	for _, r := range m.routes.held().all {
		r.passing.settle()
	}
}

// Handler answers scrapes: text, OpenMetrics or protobuf, as asked for. A
// metric that cannot be gathered is left out and the rest is told.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		Registry:            m.registry,
		ErrorHandling:       promhttp.ContinueOnError,
		EnableOpenMetrics:   true,
		MaxRequestsInFlight: 4,
		Timeout:             10 * time.Second,
	})
}

// Reloaded tells how a load of the policy file ended; the first one, at
// start, counts too. It is told so and not by an Event, because only who
// loads knows that a file was refused.
func (m *Metrics) Reloaded(ok bool) {
	if !ok {
		m.reloadOK.Set(0)
		return
	}
	m.reloadOK.Set(1)
	m.reloadTime.SetToCurrentTime()
}

func gauge(name, help string) prometheus.GaugeOpts {
	return prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}
}
