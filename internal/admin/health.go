package admin

import (
	"net/http"
	"sync"
	"time"

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
	proxy  *proxy.Proxy
	doubts []func() []string

	mu       sync.Mutex // guards all below
	started  time.Time  // zero before that
	draining bool
	broken   []string
	reload   string // why the last reload failed; empty when it did not
}

// NewHealth returns the health of a process that has not started yet. Each of
// doubts is asked with each report: what it says degrades.
func NewHealth(p *proxy.Proxy, doubts ...func() []string) *Health {
	h := &Health{proxy: p}
	h.doubts = append(doubts, h.ofPolicy)
	return h
}

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

// report says how things are. Who has not started, or has lost a listener, is
// unhealthy. What degrades and no more, since the sidecar does its work and
// restarting it would heal nothing: a drain, a reload that failed, an audit file
// that cannot be written, a breaker that is not closed, keys that an issuer does
// not give, an issuer that cannot be asked about tokens, an upstream of which no
// endpoint works or whose name cannot be looked up, a store that cannot be
// asked about rate limits, and an upstream whose certificate is not verified.
func (h *Health) report() report {
	// Before the lock: a breaker that is asked may have to tell an event, and
	// whoever hears it may have a word for h.
	var doubts []string
	for _, doubt := range h.doubts {
		doubts = append(doubts, doubt()...)
	}
	s := h.proxy.Snapshot()
	waiting := s != nil && waitsForKeys(s) // last: who is not ready for it has said so

	h.mu.Lock()
	defer h.mu.Unlock()
	r := report{Status: Healthy, Timestamp: time.Now().UTC(), Reasons: []string{}}
	serving := !h.started.IsZero() && s != nil
	if !serving {
		r.add(Unhealthy, "starting")
	}
	r.add(Unhealthy, h.broken...)
	if h.draining {
		r.add(Degraded, "draining")
	}
	if h.reload != "" {
		r.add(Degraded, h.reload)
	}
	r.add(Degraded, doubts...)
	r.ready = serving && !h.draining && len(h.broken) == 0 && (!waiting || time.Since(h.started) >= grace)
	return r
}

func (r *report) add(status string, reasons ...string) {
	if len(reasons) > 0 && r.Status != Unhealthy {
		r.Status = status
	}
	r.Reasons = append(r.Reasons, reasons...)
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
