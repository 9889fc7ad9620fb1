package policy

import (
	"fmt"
	"maps"
	"slices"

	"sidecar/internal/breaker"
	"sidecar/internal/exchange"
)

// fallbacks checks that the upstreams are there that breakers name in place of
// those they guard, whether or not a route uses them.
func (w *walk) fallbacks(f *File) {
	use := func(u Use) Ref[breaker.Config] { return u.CircuitBreaker }
	for path, c := range ofKind(w, f, exchange.CircuitBreaker, f.Policies.CircuitBreaker, use) {
		if c.Fallback == nil || c.Fallback.Upstream == "" {
			continue
		}
		if _, ok := f.Upstreams[c.Fallback.Upstream]; !ok && !w.isUnread("upstreams") {
			w.check(path+".fallback.upstream", missing("upstream", c.Fallback.Upstream, slices.Sorted(maps.Keys(f.Upstreams))))
		}
	}
}

// ownFallback checks that the upstream of r, at path, is not its own fallback.
func (w *walk) ownFallback(f *File, r *Route, path string) {
	named := f.Effective(r).CircuitBreaker
	if named == nil || named.Config.Fallback == nil || named.Config.Fallback.Upstream != r.Upstream || r.Upstream == "" {
		return
	}
	w.check(path+".upstream", fmt.Sprintf("must be another one than the fallback of circuitBreaker %s, got %q", named.Name, r.Upstream))
}
