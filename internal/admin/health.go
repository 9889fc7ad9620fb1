package admin

import (
	"net/http"
	"sync"
	"time"

	"sidecar/internal/authz"
	"sidecar/internal/proxy"
)

// The three states of health, as the field has them.
const (
	Healthy   = "healthy"
	Degraded  = "degraded"
	Unhealthy = "unhealthy"
)

// Health knows how the process fares. It is safe for concurrent use.
type Health struct {
	proxy *proxy.Proxy

	mu       sync.Mutex // guards all below
	started  time.Time  // zero before that
	draining bool
	broken   []string
	reload   string // why the last reload failed; empty when it did not
	doubts   []func() string
}

// NewHealth returns the health of a process that has not started yet.
func NewHealth(p *proxy.Proxy) *Health { return &Health{proxy: p} }

// Started says that every listener serves.
func (h *Health) Started() { h.set(func() { h.started = time.Now() }) }

// Draining says that the process is about to end.
func (h *Health) Draining() { h.set(func() { h.draining = true }) }

// Broken says that a part of the process has stopped serving.
func (h *Health) Broken(what string) { h.set(func() { h.broken = append(h.broken, what) }) }

// Reloaded says how the last reload ended.
func (h *Health) Reloaded(err error) {
	h.set(func() {
		h.reload = ""
		if err != nil {
			h.reload = "the last reload failed; the policy before it holds"
		}
	})
}

// Ask has why asked with each report: what it says, unless that is empty,
// degrades.
func (h *Health) Ask(why func() string) { h.set(func() { h.doubts = append(h.doubts, why) }) }

func (h *Health) set(change func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change()
}

// report is what /healthz says.
type report struct {
	Status    string    `json:"status"`
	Timestamp time.Time `json:"timestamp"`
	Reasons   []string  `json:"reasons"`

	ready bool // new traffic is welcome
}

// grace is how long after the start readiness waits for the keys of issuers.
// Then an issuer that is away keeps nobody out: routes without authn work, and
// a start-up probe must not wait for ever.
const grace = 10 * time.Second

// report says how things are. An open breaker degrades and no more: the
// sidecar does its work, and restarting it would heal nothing. So do keys that
// an issuer does not give.
func (h *Health) report() report {
	// Before the lock: a breaker that is asked may have to tell an event, and
	// whoever hears it may have a word for h.
	s := h.proxy.Snapshot()
	open := notClosed(s)
	waiting, doubtful := withoutKeys(s)
	silent := silentIssuers(s)
	unverified := unverified(s)

	h.mu.Lock()
	defer h.mu.Unlock()
	r := report{Status: Healthy, Timestamp: time.Now().UTC(), Reasons: []string{}}
	serving := !h.started.IsZero() && s != nil
	if !serving {
		r.add(Unhealthy, "starting")
	}
	for _, what := range h.broken {
		r.add(Unhealthy, what)
	}
	if h.draining {
		r.add(Degraded, "draining")
	}
	if h.reload != "" {
		r.add(Degraded, h.reload)
	}
	for _, why := range h.doubts {
		if what := why(); what != "" {
			r.add(Degraded, what)
		}
	}
	for _, what := range open {
		r.add(Degraded, what)
	}
	for _, what := range doubtful {
		r.add(Degraded, what)
	}
	for _, what := range silent {
		r.add(Degraded, what)
	}
	for _, what := range unverified {
		r.add(Degraded, what)
	}
	r.ready = serving && !h.draining && len(h.broken) == 0 && (!waiting || time.Since(h.started) >= grace)
	return r
}

// withoutKeys returns a reason for each issuer whose tokens cannot be judged,
// or only by old keys, and whether there is one that was never heard of.
func withoutKeys(s *proxy.Snapshot) (waiting bool, reasons []string) {
	if s == nil {
		return false, nil
	}
	for _, k := range s.KeySets() {
		if !s.Needs(k) {
			continue
		}
		st := k.Status()
		waiting = waiting || st.State == authz.KeysWaiting
		if reason := doubt(st); reason != "" {
			reasons = append(reasons, reason)
		}
	}
	return waiting, reasons
}

// doubt returns what is wrong with the keys of an issuer, if anything.
func doubt(st authz.KeySetStatus) string {
	switch st.State {
	case authz.KeysFresh:
		return ""
	case authz.KeysWaiting:
		return "the keys of issuer " + st.Issuer + " were not fetched yet"
	}
	return "the keys of issuer " + st.Issuer + " are " + st.State + ": last fetched at " + st.LastSuccess.UTC().Format(time.RFC3339)
}

// silentIssuers returns a reason for each issuer that cannot be asked about
// opaque tokens. Readiness does not wait for it: only traffic has it asked
// again.
func silentIssuers(s *proxy.Snapshot) (reasons []string) {
	if s == nil {
		return nil
	}
	for _, n := range s.Introspectors() {
		if n.Failing() {
			reasons = append(reasons, "issuer "+n.Issuer()+" cannot be asked about tokens")
		}
	}
	return reasons
}

// unverified returns a reason for each upstream that anybody could stand in
// for.
func unverified(s *proxy.Snapshot) (reasons []string) {
	if s == nil {
		return nil
	}
	for _, name := range s.Unverified() {
		reasons = append(reasons, "the certificate of upstream "+name+" is not verified: insecureSkipVerify is true")
	}
	return reasons
}

// notClosed returns a reason for each breaker of s that is not closed.
func notClosed(s *proxy.Snapshot) (reasons []string) {
	if s == nil {
		return nil
	}
	for _, b := range s.Breakers() {
		if st := b.Status(); st.State != "closed" && !st.Shadow {
			reasons = append(reasons, "circuit breaker "+st.Name+" is "+st.State)
		}
	}
	return reasons
}

func (r *report) add(status, reason string) {
	if r.Status != Unhealthy {
		r.Status = status
	}
	r.Reasons = append(r.Reasons, reason)
}

func (h *Health) healthz(w http.ResponseWriter, _ *http.Request) {
	r := h.report()
	status := http.StatusOK
	if r.Status == Unhealthy {
		status = http.StatusServiceUnavailable
	}
	reply(w, status, r)
}

// livez depends on nothing: a process that answers need not be restarted.
func (h *Health) livez(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, map[string]string{"status": "alive"})
}

// readyz says whether new traffic is welcome.
func (h *Health) readyz(w http.ResponseWriter, _ *http.Request) {
	r := h.report()
	if !r.ready {
		reply(w, http.StatusServiceUnavailable, map[string]any{"status": "not ready", "reasons": r.Reasons})
		return
	}
	reply(w, http.StatusOK, map[string]any{"status": "ready", "reasons": r.Reasons})
}
