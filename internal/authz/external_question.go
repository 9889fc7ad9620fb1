package authz

import (
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"net/http"
	"slices"

	"sidecar/internal/exchange"
)

const (
	requestIDField   = "X-Request-Id"
	traceParentField = "Traceparent"
)

// header returns what the decision point is told of r. The host is the one
// that routes and rules read, and the client the one that rules judge; the
// scheme is the one that the upstream is told.
func (e *External) header(r *http.Request, rec *exchange.Record) http.Header {
	h := make(http.Header, 8+len(e.forward))
	odd := spelled(r.Header)
	for _, name := range e.forward {
		values := r.Header[name]
		if odd {
			values = spellings(r, name)
		}
		if values != nil {
			h[name] = values
		}
	}
	h["User-Agent"] = agent(h)
	h["X-Forwarded-Method"] = []string{r.Method}
	h["X-Forwarded-Proto"] = []string{rec.Scheme}
	h["X-Forwarded-Host"] = []string{r.Host}
	// Under server.paths strict the usual spelling of what rules would read: who
	// looks for /admin shall not miss /%61dmin.
	h["X-Forwarded-Uri"] = []string{r.URL.RequestURI()}
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

// keyOf returns what tells questions apart: all that is asked but the names of
// this one occurrence. It holds no credential, only a hash.
func keyOf(h http.Header) digest {
	sum := sha256.New()
	write := func(s string) {
		// Its length, so that no two lists of texts read the same.
		_, _ = sum.Write(binary.BigEndian.AppendUint64(nil, uint64(len(s))))
		_, _ = sum.Write([]byte(s))
	}
	for _, name := range slices.Sorted(maps.Keys(h)) {
		if name == requestIDField || name == traceParentField {
			continue
		}
		write(name)
		for _, value := range h[name] {
			write("=")
			write(value)
		}
	}
	return digest(sum.Sum(nil))
}
