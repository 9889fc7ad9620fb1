package proxy

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"sidecar/internal/authz"
	"sidecar/internal/breaker"
	"sidecar/internal/certs"
	"sidecar/internal/exchange"
	"sidecar/internal/faults"
	"sidecar/internal/policy"
	"sidecar/internal/ratelimit"
	"sidecar/internal/retry"
	"sidecar/internal/upstream"
	"sidecar/internal/validation"
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

// state is what survives a reload that does not change its policy.
type state struct {
	breakers  kept[*breaker.State]
	buckets   kept[*ratelimit.Buckets]
	budgets   kept[*retry.Budget]
	upstreams kept[*upstream.Upstream]
	keySets   kept[*authz.KeySet] // by all that makes them what they are
	externals kept[*authz.External]
	bodies    kept[*validation.Buffers]

	introspectors kept[*authz.Introspector] // by the same
}

func newState() state {
	return state{
		breakers: kept[*breaker.State]{}, buckets: kept[*ratelimit.Buckets]{},
		budgets: kept[*retry.Budget]{}, upstreams: kept[*upstream.Upstream]{},
		keySets: kept[*authz.KeySet]{}, externals: kept[*authz.External]{}, introspectors: kept[*authz.Introspector]{},
		bodies: kept[*validation.Buffers]{},
	}
}

// kept holds state objects by instance name.
type kept[S comparable] map[string]instance[S]

// instance is a state object and the policy it was made for.
type instance[S comparable] struct {
	fingerprint string
	state       S
}

// take puts into next the instance called name: the one from k, if its policy
// is the same, else a new one.
func (k kept[S]) take(next kept[S], name string, config any, fresh func() S) S {
	if have, ok := next[name]; ok {
		return have.state // another route uses the same
	}
	want := instance[S]{fingerprint: policy.Fingerprint(config)}
	if have, ok := k[name]; ok && have.fingerprint == want.fingerprint {
		want.state = have.state
	} else {
		want.state = fresh()
	}
	next[name] = want
	return want.state
}

// dropped calls drop for each instance that next did not take over.
func (k kept[S]) dropped(next kept[S], drop func(name string, s S)) {
	for _, name := range slices.Sorted(maps.Keys(k)) {
		if next[name].state != k[name].state {
			drop(name, k[name].state)
		}
	}
}

// start begins what runs beside requests.
func (s *Snapshot) start(sw *faults.Switch) {
	sw.Sync(s.faults)
	for _, k := range s.KeySets() {
		k.Start() // those that were taken over run already
	}
}

// stop ends what next did not take over.
func (s *Snapshot) stop(next *Snapshot) { s.discard(&next.state) }

func (s *Snapshot) discard(next *state) {
	if next == nil {
		next = &state{}
	}
	s.state.upstreams.dropped(next.upstreams, func(_ string, u *upstream.Upstream) { u.Retire() })
	s.state.buckets.dropped(next.buckets, func(_ string, b *ratelimit.Buckets) { b.Close() })
	s.state.keySets.dropped(next.keySets, func(_ string, k *authz.KeySet) { k.Close() })
	s.state.externals.dropped(next.externals, func(_ string, e *authz.External) { e.Close() })
	s.state.introspectors.dropped(next.introspectors, func(_ string, n *authz.Introspector) { n.Close() })
}

// Reset returns the names of the state objects of s that next does not go on
// with, because their policy changed, or is disabled or gone: what a reload
// forgot.
func (s *Snapshot) Reset(next *Snapshot) []string {
	var names []string
	add := func(kind, name string) { names = append(names, kind+"/"+name) }
	s.state.breakers.dropped(next.state.breakers, func(name string, _ *breaker.State) { add(exchange.CircuitBreaker, name) })
	s.state.buckets.dropped(next.state.buckets, func(name string, _ *ratelimit.Buckets) { add(exchange.RateLimit, name) })
	s.state.budgets.dropped(next.state.budgets, func(name string, _ *retry.Budget) { add("retryBudget", name) })
	s.state.upstreams.dropped(next.state.upstreams, func(name string, _ *upstream.Upstream) { add("pool", name) })
	s.state.keySets.dropped(next.state.keySets, func(_ string, k *authz.KeySet) { add(exchange.JWKS, k.Issuer()) })
	s.state.externals.dropped(next.state.externals, func(name string, _ *authz.External) { add(exchange.Authz, name) })
	s.state.introspectors.dropped(next.state.introspectors, func(_ string, n *authz.Introspector) { add(exchange.Introspection, n.Issuer()) })
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
func (s *Snapshot) Breakers() []*breaker.State {
	var all []*breaker.State
	for _, name := range slices.Sorted(maps.Keys(s.state.breakers)) {
		all = append(all, s.state.breakers[name].state)
	}
	return all
}

// Breaker returns the breaker called name.
func (s *Snapshot) Breaker(name string) (*breaker.State, bool) {
	b, ok := s.state.breakers[name]
	return b.state, ok
}

// Needs reports whether tokens are refused for want of the keys of k. It is so
// unless all policies that use it are in shadow.
func (s *Snapshot) Needs(k *authz.KeySet) bool { return s.needed[k] }

// KeySets returns the keys that are fetched from issuers, by issuer. Two that
// differ in how they are kept may be of one issuer.
func (s *Snapshot) KeySets() []*authz.KeySet {
	var all []*authz.KeySet
	for _, k := range s.state.keySets {
		all = append(all, k.state)
	}
	slices.SortFunc(all, func(a, b *authz.KeySet) int { return cmp.Compare(a.Issuer(), b.Issuer()) })
	return all
}

// Introspectors returns those who are asked about opaque tokens, by issuer.
func (s *Snapshot) Introspectors() []*authz.Introspector {
	var all []*authz.Introspector
	for _, n := range s.state.introspectors {
		all = append(all, n.state)
	}
	slices.SortFunc(all, func(a, b *authz.Introspector) int { return cmp.Compare(a.Issuer(), b.Issuer()) })
	return all
}

// Budgets returns every upstream's retry budget, by the upstream's name.
func (s *Snapshot) Budgets() map[string]*retry.Budget {
	all := make(map[string]*retry.Budget, len(s.state.budgets))
	for name, b := range s.state.budgets {
		all[name] = b.state
	}
	return all
}
