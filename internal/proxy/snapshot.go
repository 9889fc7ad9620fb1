package proxy

import (
	"cmp"
	"slices"
	"time"

	"sidecar/internal/authz"
	"sidecar/internal/breaker"
	"sidecar/internal/certs"
	"sidecar/internal/exchange"
	"sidecar/internal/faults"
	"sidecar/internal/policy"
	"sidecar/internal/retry"
)

// Snapshot is a policy made ready to run. It never changes; a reload makes
// another one. What lives longer than it is in its state.
type Snapshot struct {
	file        *policy.File
	applied     time.Time
	routes      []*route
	strictPaths bool
	trusted     trusted
	pseudonym   string
	faults      []faults.Named
	listeners   map[string]*certs.Material // those with TLS, by their names
	clients     map[string]*certs.Material // of upstreams with TLS
	state       state
	needed      map[*authz.KeySet]bool // by a policy that enforces
}

// start begins what runs beside requests.
func (s *Snapshot) start(sw *faults.Switch) {
	sw.Sync(s.faults)
	s.state.start() // what was taken over runs already
}

// Reset returns the names of the state objects of s that next does not go on
// with, because their policy changed, or is disabled or gone: what a reload
// forgot.
func (s *Snapshot) Reset(next *Snapshot) []string {
	var names []string
	for _, at := range s.state.dropped(next.state) {
		names = append(names, s.state.title(at))
	}
	return names
}

// File returns the policy file that s was built from.
func (s *Snapshot) File() *policy.File { return s.file }

// Applied returns when s became the policy.
func (s *Snapshot) Applied() time.Time { return s.applied }

// Routes returns the names of the routes, in order.
func (s *Snapshot) Routes() []string {
	names := make([]string, len(s.routes))
	for i, rt := range s.routes {
		names[i] = rt.name
	}
	return names
}

// Chain returns the stages of a route, from the client to the upstream, as
// they were folded; nil for an unknown route.
func (s *Snapshot) Chain(name string) []Stage {
	i := slices.IndexFunc(s.routes, func(rt *route) bool { return rt.name == name })
	if i < 0 {
		return nil
	}
	var chain []Stage
	for _, g := range s.routes[i].gates {
		chain = append(chain, g.stages...)
	}
	for _, l := range s.routes[i].leg {
		chain = append(chain, l.stages...)
	}
	up := s.file.Upstreams[s.routes[i].upstream]
	return append(chain, Stage{exchange.ByUpstream, s.routes[i].upstream, up.Line, up})
}

// Breakers returns every breaker, by name.
func (s *Snapshot) Breakers() []*breaker.State { return objects[*breaker.State](s.state) }

// Breaker returns the breaker called name.
func (s *Snapshot) Breaker(name string) (*breaker.State, bool) {
	return object[*breaker.State](s.state, exchange.CircuitBreaker, name)
}

// Needs reports whether tokens are refused for want of the keys of k. It is so
// unless all policies that use it are in shadow.
func (s *Snapshot) Needs(k *authz.KeySet) bool { return s.needed[k] }

// KeySets returns the keys that are fetched from issuers, by issuer. Two that
// differ in how they are kept may be of one issuer.
func (s *Snapshot) KeySets() []*authz.KeySet { return byIssuer(objects[*authz.KeySet](s.state)) }

// Introspectors returns those who are asked about opaque tokens, by issuer.
func (s *Snapshot) Introspectors() []*authz.Introspector {
	return byIssuer(objects[*authz.Introspector](s.state))
}

func byIssuer[S interface{ Issuer() string }](all []S) []S {
	slices.SortFunc(all, func(a, b S) int { return cmp.Compare(a.Issuer(), b.Issuer()) })
	return all
}

// Budgets returns every upstream's retry budget, by the upstream's name.
func (s *Snapshot) Budgets() map[string]*retry.Budget {
	all := map[string]*retry.Budget{}
	for at, h := range s.state {
		if budget, ok := h.object.(*retry.Budget); ok {
			all[at.name] = budget
		}
	}
	return all
}
