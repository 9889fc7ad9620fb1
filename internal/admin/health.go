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
	proxy *proxy.Proxy

	mu       sync.Mutex // guards all below
	started  bool
	draining bool
	broken   []string
	reload   string // why the last reload failed; empty when it did not
}

// NewHealth returns the health of a process that has not started yet.
func NewHealth(p *proxy.Proxy) *Health { return &Health{proxy: p} }

// Started says that every listener serves.
func (h *Health) Started() { h.set(func() { h.started = true }) }

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

// report says how things are. An open breaker degrades and no more: the
// sidecar does its work, and restarting it would heal nothing.
func (h *Health) report() report {
	// Before the lock: a breaker that is asked may have to tell an event, and
	// whoever hears it may have a word for h.
	s := h.proxy.Snapshot()
	open := notClosed(s)

	h.mu.Lock()
	defer h.mu.Unlock()
	r := report{Status: Healthy, Timestamp: time.Now().UTC(), Reasons: []string{}}
	serving := h.started && s != nil
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
	for _, what := range open {
		r.add(Degraded, what)
	}
	r.ready = serving && !h.draining && len(h.broken) == 0
	return r
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
	reply(w, http.StatusOK, map[string]string{"status": "ready"})
}
