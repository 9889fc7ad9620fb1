package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// The states that a breaker takes by itself.
const (
	closed   = "closed"
	halfOpen = "half-open"
	open     = "open"
)

// Levels is what is, at this moment. Names are those of the policy file and
// come once in each list. Breakers and faults in shadow are left out: an alert
// on an open breaker must not need to know that some refuse nothing.
type Levels struct {
	PolicyHash string // of the policy file that holds; empty for none

	Breakers []BreakerLevel
	Faults   []FaultLevel
	Budgets  []BudgetLevel
	KeySets  []KeySetLevel
	Limits   []LimitLevel
	Stores   []StoreLevel

	Certificates []CertificateLevel

	Upstreams []UpstreamLevel

	// LogDropped counts lines of the log that were lost; nil where there is no
	// log.
	LogDropped *uint64

	// AuditDropped counts lines that the audit file had no room for; nil where
	// nothing is audited.
	AuditDropped *uint64

	// SpansDropped counts spans that were lost, by the reason; nil where nothing
	// is traced. It only ever grows.
	SpansDropped map[string]int64
}

// FaultLevel says whether a fault is on.
type FaultLevel struct {
	Name   string
	Active bool
}

// BudgetLevel is how many calls to an upstream could be repeated now.
type BudgetLevel struct {
	Upstream  string
	Remaining float64
}

// KeySetLevel is when the keys of an issuer were last fetched; zero for never.
type KeySetLevel struct {
	Issuer      string
	LastSuccess time.Time
}

// CertificateLevel is when the first certificate in a file expires. It is that
// of a listener or of an upstream; File is the key that names it.
type CertificateLevel struct {
	Listener, Upstream, File string
	Expires                  time.Time
}

// Levels sets what is read at each scrape; before that there are none. read
// is called from several goroutines at once and must not block; a breaker that
// it finds to have moved may tell so with an Event.
func (m *Metrics) Levels(read func() Levels) { m.levels.Store(&read) }

var (
	configInfo = level("config_info",
		"The SHA-256 of the policy file that holds; always 1.", "hash")
	breakerState = level("circuit_breaker_state",
		"Whether the circuit breaker is in the state: 1 for one state, 0 for the others. One in shadow has no series.", "name", "state")
	faultActive = level("fault_active",
		"Whether the fault is switched on. One in shadow has no series.", "name")
	budgetRemaining = level("retry_budget_remaining",
		"How many calls to the upstream could be repeated now.", "upstream")
	jwksLastSuccess = level("jwks_last_success_timestamp_seconds",
		"When the keys of the issuer were last fetched; 0 for never.", "issuer")
	certificateExpiry = level("tls_certificate_expiry_timestamp_seconds",
		"When the first certificate in the file expires. The file is named by its key; it is that of the listener (data, telemetry, admin) or of the upstream, the other label being empty.",
		"listener", "upstream", "file")
	logDropped = level("log_dropped_total",
		"Lines of the log, of requests or others, that were lost since standard error did not take them, or not fast enough.")
	auditDropped = level("audit_dropped_total",
		"Lines that were lost since the audit file took none. Only where there is one.")
	spansDropped = level("trace_spans_dropped_total",
		"Spans that never reached the collector: queue_full, or export_failed. Only where tracing is on.", "reason")
)

func level(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil)
}

// levelCollector reads the levels when somebody scrapes. It also tells the
// transitions of breakers, since only a scrape learns which breakers there
// are: each begins at 0, so that the first one to open shows as an increase.
type levelCollector struct{ m *Metrics }

// Describe implements prometheus.Collector.
func (c levelCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- configInfo
	ch <- breakerState
	ch <- breakerCalls
	ch <- breakerSlow
	ch <- faultActive
	ch <- budgetRemaining
	ch <- jwksLastSuccess
	ch <- concurrencyLimit
	ch <- concurrencyInFlight
	ch <- concurrencyQueued
	ch <- concurrencyBaseline
	ch <- concurrencyShed
	ch <- storeAvailable
	ch <- storeCalls
	ch <- storeTook
	ch <- certificateExpiry
	describeUpstreams(ch)
	ch <- logDropped
	ch <- auditDropped
	ch <- spansDropped
	c.m.transitions.Describe(ch)
}

// Collect implements prometheus.Collector.
func (c levelCollector) Collect(ch chan<- prometheus.Metric) {
	var now Levels
	if read := c.m.levels.Load(); read != nil {
		now = (*read)()
	}
	c.m.transitions.are(now.Breakers)
	c.m.transitions.Collect(ch)
	now.tell(ch)
}

func (l Levels) tell(ch chan<- prometheus.Metric) {
	if l.PolicyHash != "" {
		is(ch, configInfo, 1, l.PolicyHash)
	}
	for _, b := range l.Breakers {
		for _, state := range states(b.State) {
			is(ch, breakerState, truth(state == b.State), b.Name, state)
		}
		b.tell(ch)
	}
	for _, f := range l.Faults {
		is(ch, faultActive, truth(f.Active), f.Name)
	}
	for _, b := range l.Budgets {
		is(ch, budgetRemaining, b.Remaining, b.Upstream)
	}
	for _, k := range l.KeySets {
		at := 0.0
		if !k.LastSuccess.IsZero() {
			at = float64(k.LastSuccess.UnixMilli()) / 1000
		}
		is(ch, jwksLastSuccess, at, k.Issuer)
	}
	for _, c := range l.Limits {
		c.tell(ch)
	}
	for _, s := range l.Stores {
		s.tell(ch)
	}
	for _, c := range l.Certificates {
		is(ch, certificateExpiry, float64(c.Expires.Unix()), c.Listener, c.Upstream, c.File)
	}
	tellUpstreams(ch, l.Upstreams)
	if l.LogDropped != nil {
		counted(ch, logDropped, *l.LogDropped)
	}
	if l.AuditDropped != nil {
		counted(ch, auditDropped, *l.AuditDropped)
	}
	for reason, n := range l.SpansDropped {
		counted(ch, spansDropped, uint64(n), reason)
	}
}

// is tells a level.
func is(ch chan<- prometheus.Metric, desc *prometheus.Desc, v float64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, v, labels...)
}

// counted tells a count that somebody else keeps.
func counted(ch chan<- prometheus.Metric, desc *prometheus.Desc, n uint64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(n), labels...)
}

// states returns every state that a breaker takes by itself, and the current
// one if it is another.
func states(current string) []string {
	switch current {
	case closed, halfOpen, open:
		return []string{closed, halfOpen, open}
	}
	return []string{closed, halfOpen, open, current}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
