package proxy

import (
	"net/http"
	"slices"

	"sidecar/internal/exchange"
	"sidecar/internal/policy"
	"sidecar/internal/upstream"
)

// THE ORDER. It is written here and nowhere else; the policy file switches a
// stage on, and never moves it.
//
//	validation(authn(authz(rateLimit( seam -> deadline( concurrency( circuitBreaker.Admit( retry( circuitBreaker.Count( attempt( fault( upstream ))))))) ))))

// gates are what a route asks about the client's request, before anything is
// sent.
func (b *builder) gates(e policy.Effective) []gate {
	return slices.Concat(
		b.validation(e), // cheapest first: malformed requests cost nothing more
		b.authn(e),      // names the principal that authz, rateLimit and the log speak of
		b.authz(e),
		b.rateLimit(e), // last: a refused request spends nothing
	)
}

// layers stand between the seam and the leg, outermost first.
func (b *builder) layers(r *policy.Route, e policy.Effective) []layer {
	return b.concurrency(r, e) // one place for all attempts; its queue is within the route's timeout
}

// leg is everything from there to one upstream, outermost first. other
// is the leg that stands in for it; nil: none does.
func (b *builder) leg(r *policy.Route, e policy.Effective, up *upstream.Upstream, other *fallback) []layer {
	admit, count := b.breaker(r, e, up, other)
	return slices.Concat(
		admit,             // refuses while open, before anything is buffered; gives the fallback
		b.retry(r, e, up), // repeats all below
		count,             // every attempt counts, and asks again: an open breaker ends the retries
		b.attempt(up),     // one note, one span and the attempt header for each
		b.fault(e),        // innermost: a drill exercises every policy above
	)
}

// gate is what needs only the request.
type gate struct {
	stages []Stage
	check  func(*http.Request) error
	shadow bool // what it refuses is noted, and let by

	// passed is noted of what it lets by; nil: it notes that itself.
	passed *exchange.Decision

	// announce says, in an answer that was made before the gate was asked, what
	// clients are to know of it; nil: nothing.
	announce func(*exchange.Record)
}

// layer is what touches the response, or repeats the call.
type layer struct {
	stages []Stage
	wrap   exchange.Layer
}

// Stage is one policy in its place in a chain. Several of a kind may share a
// gate or a layer, as limits do of which all must pass.
type Stage struct {
	Kind   string
	Policy string
	Line   int
	Config any // the effective section of the file; nil where there is none
}

// passed returns what is noted where s lets a request by.
func (s Stage) passed() *exchange.Decision {
	return &exchange.Decision{Kind: s.Kind, Policy: s.Policy, Outcome: exchange.Pass, Line: s.Line}
}

// String returns "kind/policy".
func (s Stage) String() string {
	if s.Policy == "" {
		return s.Kind
	}
	return s.Kind + "/" + s.Policy
}

// wrap folds layers around rt, the first of them outermost.
func wrap(rt http.RoundTripper, layers []layer) http.RoundTripper {
	for _, l := range slices.Backward(layers) {
		rt = l.wrap(rt)
	}
	return rt
}
