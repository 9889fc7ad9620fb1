package authz

import (
	"net/http"
	"strings"

	"sidecar/internal/exchange"
)

const (
	requestIDField   = "X-Request-Id"
	traceParentField = "Traceparent"
)

// header returns what the decision point is told of r. The host is the one
// that routes and rules read, and the client the one that rules judge; of the
// scheme a trusted peer's word is believed, as towards the upstream.
func (e *External) header(r *http.Request, rec *exchange.Record) http.Header {
	h := make(http.Header, 8+len(e.forward))
	for _, name := range e.forward {
		if values := r.Header[name]; values != nil {
			h[name] = values
		}
	}
	h["User-Agent"] = agent(h)
	h["X-Forwarded-Method"] = []string{r.Method}
	h["X-Forwarded-Proto"] = []string{scheme(r, rec)}
	h["X-Forwarded-Host"] = []string{r.Host}
	h["X-Forwarded-Uri"] = []string{spelledTarget(r)}
	if rec.Client.IsValid() {
		h["X-Forwarded-For"] = []string{rec.Client.String()}
	}
	if rec.ID != "" {
		h[requestIDField] = []string{rec.ID}
	}
	switch said := r.Header[traceParentField]; {
	case rec.TraceParent != "":
		h[traceParentField] = []string{rec.TraceParent}
	case rec.Trusted && rec.TraceID == "" && len(said) == 1:
		h[traceParentField] = said
	}
	return h
}

func agent(h http.Header) []string {
	if theirs := h["User-Agent"]; theirs != nil {
		return theirs
	}
	return []string{"sidecar"}
}

func scheme(r *http.Request, rec *exchange.Record) string {
	if said := r.Header.Get("X-Forwarded-Proto"); rec.Trusted && said != "" {
		return said
	}
	if r.TLS != nil {
		return "https"
	}
	return "http"
}

// spelledTarget returns the path and query of r as the client spelled them:
// what is judged is what the upstream gets.
func spelledTarget(r *http.Request) string {
	if strings.HasPrefix(r.RequestURI, "/") {
		return r.RequestURI
	}
	return r.URL.RequestURI()
}
