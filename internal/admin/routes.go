// Package admin is how people and machines look at the sidecar and change it
// while it runs: the telemetry listener, which only tells, and the admin
// listener, which also changes. Neither is on the port of the traffic.
// docs/operating.md tells what each path takes and answers.
package admin

import (
	"fmt"
	"net/http"

	"sidecar/internal/exchange"
	"sidecar/internal/experiment"
	"sidecar/internal/faults"
	"sidecar/internal/proxy"
)

// Telemetry returns what the telemetry listener serves: metrics for
// Prometheus, health for the kubelet.
func Telemetry(h *Health, metrics http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics)
	mux.HandleFunc("GET /healthz", h.healthz)
	mux.HandleFunc("GET /livez", h.livez)
	mux.HandleFunc("GET /readyz", h.readyz)
	return wellSpoken(mux)
}

// Admin is what the admin listener serves.
type Admin struct {
	Proxy  *proxy.Proxy
	Faults *faults.Switch
	Reload Reload
	// Experiments are those that StartExperiment begins; it must be one of the
	// observers of Proxy.
	Experiments     *experiment.Experiments
	StartExperiment StartExperiment
	// Tell hears of requests whose credential does not do: of each address ten
	// a minute that have none, ten with a wrong one and ten by viewers who
	// would change something. Nil is nobody. Of changes tell those who make
	// them.
	Tell func(exchange.Event) error
	// Decisions remembers what GET /decisions tells; it must be one of the
	// observers of Proxy.
	Decisions *Decisions
	// Listen is the address that the listener was asked for. Its host may be
	// named in the Host field; one that is not loopback makes every request
	// need a credential of the policy.
	Listen string
}

// Reload reads the policy file again and applies it, on behalf of who. Its
// error is policy.Problems where the file is at fault.
type Reload func(who exchange.Who) (Change, error)

// Change is what a reload did.
type Change struct {
	Changed []string `json:"changed"` // what differs in the file
	Reset   []string `json:"reset"`   // state that was begun anew for it
}

// Handler returns the map of the admin listener.
func (a *Admin) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /routes", a.listRoutes)
	mux.HandleFunc("GET /policies", a.listPolicies)
	mux.HandleFunc("GET /config", a.getConfig)
	mux.HandleFunc("GET /decisions", a.listDecisions)
	mux.HandleFunc("GET /concurrency", a.listLimits)
	mux.HandleFunc("GET /breakers", a.listBreakers)
	// The breaker of an inline policy has a slash in its name.
	mux.HandleFunc("GET /breakers/{name...}", a.getBreaker)
	mux.HandleFunc("POST /breakers/{name...}", a.forceBreaker)
	mux.HandleFunc("GET /upstreams", a.listUpstreams)
	mux.HandleFunc("GET /upstreams/{name}", a.getUpstream)
	mux.HandleFunc("PUT /upstreams/{name}/endpoints/{endpoint}", a.drainEndpoint)
	mux.HandleFunc("GET /faults", a.listFaults)
	mux.HandleFunc("GET /faults/{name}", a.getFault)
	mux.HandleFunc("PUT /faults/{name}", a.switchOn)
	mux.HandleFunc("DELETE /faults/{name}", a.switchOff)
	mux.HandleFunc("GET /experiments", a.listExperiments)
	mux.HandleFunc("POST /experiments", a.startExperiment)
	mux.HandleFunc("GET /experiments/{id}", a.getExperiment)
	mux.HandleFunc("PUT /experiments/{id}/lease", a.renewExperiment)
	mux.HandleFunc("DELETE /experiments/{id}", a.abortExperiment)
	mux.HandleFunc("POST /-/reload", a.reload)
	return identified(guard(a.demand(wellSpoken(mux)), a.Listen))
}

// wellSpoken returns mux with its own 404 and 405 told as everything else is:
// as a problem document.
func wellSpoken(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := mux.Handler(r); pattern == "" {
			w = &plainWords{ResponseWriter: w, r: r}
		}
		mux.ServeHTTP(w, r)
	})
}

// plainWords replaces what a ServeMux says when it has no handler.
type plainWords struct {
	http.ResponseWriter
	r        *http.Request
	replaced bool
}

// WriteHeader writes the whole answer, if it is an error.
func (p *plainWords) WriteHeader(status int) {
	switch status {
	case http.StatusNotFound:
		fail(p.ResponseWriter, status, fmt.Sprintf("there is no %q here", p.r.URL.Path))
	case http.StatusMethodNotAllowed:
		fail(p.ResponseWriter, status, "the method must be one of "+p.Header().Get("Allow")+", got "+p.r.Method)
	default:
		p.ResponseWriter.WriteHeader(status)
		return
	}
	p.replaced = true
}

// Write drops the text that comes with a replaced answer.
func (p *plainWords) Write(b []byte) (int, error) {
	if p.replaced {
		return len(b), nil
	}
	return p.ResponseWriter.Write(b)
}
