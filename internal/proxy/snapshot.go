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
	"sidecar/internal/upstream"
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
	each        []eachEndpoint         // breakers of endpoints
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
	for _, l := range s.routes[i].layers {
		chain = append(chain, l.stages...)
	}
	return append(chain, s.stages(s.routes[i].leg, s.routes[i].upstream)...)
}

// Fallback returns the stages through which a request of that route goes to the
// upstream that stands in for its own; nil if none does.
func (s *Snapshot) Fallback(name string) []Stage {
	i := slices.IndexFunc(s.routes, func(rt *route) bool { return rt.name == name })
	if i < 0 || s.routes[i].fallback == nil {
		return nil
	}
	return s.stages(s.routes[i].fallback.leg, s.routes[i].fallback.upstream)
}

// stages returns those of a leg, and the upstream that it leads to.
func (s *Snapshot) stages(leg []layer, upstream string) (stages []Stage) {
	for _, l := range leg {
		stages = append(stages, l.stages...)
	}
	up := s.file.Upstreams[upstream]
	return append(stages, Stage{exchange.ByUpstream, upstream, up.Line, up})
}

// Breakers returns every breaker, by name: of endpoints those that there are.
func (s *Snapshot) Breakers() []*breaker.State {
	all := objects[*breaker.State](s.state)
	for _, each := range s.each {
		all = append(all, each.breakers.States(each.hosts())...)
	}
	slices.SortFunc(all, func(a, b *breaker.State) int { return cmp.Compare(a.Name(), b.Name()) })
	return all
}

// Breaker returns the breaker called name.
func (s *Snapshot) Breaker(name string) (*breaker.State, bool) {
	all := s.Breakers()
	i, ok := slices.BinarySearchFunc(all, name, func(b *breaker.State, name string) int { return cmp.Compare(b.Name(), name) })
	if !ok {
		return nil, false
	}
	return all[i], true
}

// Upstreams returns every upstream that a route goes to, by name.
func (s *Snapshot) Upstreams() []*upstream.Upstream { return objects[*upstream.Upstream](s.state) }

// Upstream returns the upstream called name, if a route goes to it.
func (s *Snapshot) Upstream(name string) (*upstream.Upstream, bool) {
	return object[*upstream.Upstream](s.state, pool, name)
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
