package proxy

import (
	"sidecar/internal/concurrency"
	"sidecar/internal/exchange"
	"sidecar/internal/policy"
)

// concurrency returns the limit of how many calls the upstream of r has at a
// time. Routes to it that use the same policy share its places.
func (b *builder) concurrency(r *policy.Route, e policy.Effective) []layer {
	if e.Concurrency == nil {
		return nil
	}
	c := e.Concurrency.Config
	name := e.Concurrency.Name + "@" + r.Upstream
	s := take(b, exchange.Concurrency, name, c, func() *concurrency.State { return concurrency.NewState(name, c) })
	l := concurrency.New(c, s, b.options.Random)
	return []layer{{[]Stage{{exchange.Concurrency, name, c.Line, c}}, l.Wrap}}
}

// Limits returns every limit of concurrent calls, by name.
func (s *Snapshot) Limits() []*concurrency.State { return objects[*concurrency.State](s.state) }
