// Package exchange holds the words that every room shares: what is known of
// one request and its answer, and what a policy may say about it.
//
//	Gates decide. Layers call. The record remembers. The proxy acts.
//
// It imports the standard library only, and every other package of ours may
// import it. It decides nothing itself.
package exchange

import (
	"bytes"
	"net/http"
	"strings"
)

// The kinds of policy, in the order in which a request meets them. They are
// the keys of the policy file, and metric labels.
const (
	Validation     = "validation"
	Authn          = "authn"
	Authz          = "authz"
	RateLimit      = "rateLimit"
	Concurrency    = "concurrency"
	CircuitBreaker = "circuitBreaker"
	Retry          = "retry"
	Fault          = "fault"
)

// What decides beside the policies: the proxy itself, the route, the client
// and the upstream. They stand where a policy's kind would stand.
const (
	ByProxy    = "proxy"
	ByRoute    = "route"
	ByClient   = "client"
	ByUpstream = "upstream"
)

// The kinds of events that are of no policy.
const (
	JWKS          = "jwks"          // how fetching an issuer's keys goes
	Introspection = "introspection" // how asking an issuer about tokens goes
	Store         = "store"         // how asking a store of rate limits goes
	Experiment    = "experiment"    // what experiments come to
	Admin         = "admin"         // who asks to change the sidecar
	Reload        = "reload"        // its policy as a whole
)

// Values returns what r says in the header field called name, in canonical
// form; also in Host, which net/http takes out of the header.
func Values(r *http.Request, name string) []string {
	if name == "Host" && r.Host != "" {
		return []string{r.Host}
	}
	return HeaderOf(r)[name]
}

// The protocols that a listener or an upstream speaks, in the policy file.
const (
	HTTP1 = "http1"
	H2C   = "h2c" // HTTP/2 without TLS
)

// KnownMethod reports whether method is one of RFC 9110 section 9.3 or RFC 5789:
// what clients invent must not become names.
func KnownMethod(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodOptions, http.MethodConnect, http.MethodTrace:
		return true
	}
	return false
}

// A Layer wraps the upstream call. next is everything inside it. What it is given
// may be a request without a header: see HeaderOf.
type Layer func(next http.RoundTripper) http.RoundTripper

// RoundTripFunc lets a function be an http.RoundTripper.
type RoundTripFunc func(*http.Request) (*http.Response, error)

// RoundTrip calls f.
func (f RoundTripFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// CloseBody does what a RoundTripper owes to a request that it does not send.
func CloseBody(r *http.Request) {
	if r.Body != nil {
		r.Body.Close()
	}
}

// TrimSecret cuts off the line end of a file that holds a secret: it is the
// editor's.
func TrimSecret(data []byte) []byte { return bytes.TrimRight(data, "\r\n") }

// Unquoted returns the text of err without what it quotes: bytes from the
// wire, a secret perhaps.
func Unquoted(err error) string {
	text := err.Error()
	if before, _, quotes := strings.Cut(text, `"`); quotes {
		return before + `"..."`
	}
	return text
}
