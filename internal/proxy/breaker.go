package proxy

import (
	"net/http"
	"slices"

	"sidecar/internal/breaker"
	"sidecar/internal/exchange"
	"sidecar/internal/policy"
	"sidecar/internal/upstream"
)

// eachEndpoint is a breaker of endpoints, and the endpoints that there are.
type eachEndpoint struct {
	breakers *breaker.Endpoints
	hosts    func() []string
}

// breaker returns the two places of the breaker of r on the leg to up. other is
// the leg that stands in for it.
func (b *builder) breaker(r *policy.Route, e policy.Effective, up *upstream.Upstream, other *fallback) (admit, count []layer) {
	if e.CircuitBreaker == nil {
		return nil, nil
	}
	c := e.CircuitBreaker.Config
	name := e.CircuitBreaker.Name + "@" + guarded(c, r, up)
	br := b.judge(name, c, up, other)
	at := []Stage{{exchange.CircuitBreaker, name, c.Line, c}}
	return []layer{{at, br.Admit}}, []layer{{at, br.Count}}
}

// guarded returns what the breaker is named after. Both legs of a route with
// one of its own have one each.
func guarded(c breaker.Config, r *policy.Route, up *upstream.Upstream) string {
	switch {
	case c.Scope != breaker.ScopeRoute:
		return up.Name()
	case up.Name() != r.Upstream:
		return r.Name + "/" + up.Name()
	}
	return r.Name
}

// judge returns the breaker called name, with its state from the snapshot before
// if that has it.
func (b *builder) judge(name string, c breaker.Config, up *upstream.Upstream, other *fallback) *breaker.Breaker {
	kept := c
	kept.Fallback = nil // to word it anew, perhaps while it is needed, must not close an open breaker
	if c.Scope != breaker.ScopeEndpoint {
		s := take(b, exchange.CircuitBreaker, name, kept, func() *breaker.State {
			return breaker.NewState(name, c, b.options.Random, b.options.Observers.Event)
		})
		return breaker.New(c, s, other.transport(b))
	}
	es := take(b, exchange.CircuitBreaker, name, kept, func() *breaker.Endpoints {
		return breaker.NewEndpoints(name, c, b.options.Random, b.options.Observers.Event)
	})
	if !slices.ContainsFunc(b.each, func(have eachEndpoint) bool { return have.breakers == es }) {
		b.each = append(b.each, eachEndpoint{es, up.Hosts})
	}
	return breaker.NewForEach(c, es, up.Hosts, other.transport(b))
}

// fallback is the leg to the upstream that a breaker names in place of its
// route's. It has no fallback itself, so there is no way back.
type fallback struct {
	upstream string
	leg      []layer
	to       *upstream.Upstream
}

// fallback returns the leg that stands in for that of r; nil if none does.
func (b *builder) fallback(r *policy.Route, e policy.Effective) *fallback {
	named := e.CircuitBreaker
	if named == nil || named.Config.Mode == exchange.ModeShadow || named.Config.Fallback == nil || named.Config.Fallback.Upstream == "" {
		return nil
	}
	up := b.upstream(named.Config.Fallback.Upstream)
	return &fallback{up.Name(), b.leg(r, e, up, nil), up}
}

func (f *fallback) transport(b *builder) http.RoundTripper {
	if f == nil {
		return nil
	}
	return wrap(b.innermost(f.to), f.leg)
}
