// Package exchange holds the words that every room shares: what is known of
// one request and its answer, and what a policy may say about it.
//
//	Gates decide. Layers call. The record remembers. The proxy acts.
//
// It imports the standard library only, and every other package of ours may
// import it. It decides nothing itself.
package exchange

import "net/http"

// The kinds of policy, in the order in which a request meets them. They are
// the keys of the policy file, and metric labels.
const (
	Validation     = "validation"
	Authn          = "authn"
	Authz          = "authz"
	RateLimit      = "rateLimit"
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

// JWKS is the kind of events that tell how fetching an issuer's keys goes. It
// is no policy.
const JWKS = "jwks"

// A Layer wraps the upstream call. next is everything inside it.
type Layer func(next http.RoundTripper) http.RoundTripper

// RoundTripFunc lets a function be an http.RoundTripper.
type RoundTripFunc func(*http.Request) (*http.Response, error)

// RoundTrip calls f.
func (f RoundTripFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
