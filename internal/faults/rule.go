package faults

import (
	"net/http"
	"slices"

	"sidecar/internal/exchange"
)

// rule is a fault policy made ready for drawing.
type rule struct {
	name   string
	line   int
	seed   int64
	shadow bool // what is drawn is noted, and not done
	asked  *ByHeader
	settings
}

// settings are what an operator can change for a while.
type settings struct {
	percent float64
	delay   Delay
	abort   Abort
	body    Body
	when    condition
}

func newRule(n Named) rule {
	return rule{
		name: n.Name, line: n.Line, seed: n.Seed, shadow: n.Mode == exchange.ModeShadow, asked: n.ByHeader,
		settings: settings{n.Percent, n.Delay, n.Abort, n.Body, newCondition(n.When)},
	}
}

// under returns the settings of r as run changes them.
func (r *rule) under(run *run) settings {
	s := r.settings
	if t := run.toggle; t != nil {
		if t.Percent != nil {
			s.percent = *t.Percent
		}
		if t.Delay != nil {
			s.delay = *t.Delay
		}
		if t.Abort != nil {
			s.abort = *t.Abort
		}
		if t.Body != nil {
			s.body = *t.Body
		}
		if t.When != nil {
			s.when = run.when
		}
	}
	return s
}

// condition is a When made ready for matching.
type condition struct {
	methods    []string
	paths      []exchange.PathGlob
	fields     []field
	principals exchange.Wildcards
}

type field struct{ name, value string } // the name in canonical form

func newCondition(w When) condition {
	c := condition{methods: w.Methods, principals: exchange.NewWildcards(w.Principals)}
	for _, pattern := range w.Paths {
		c.paths = append(c.paths, exchange.NewPathGlob(pattern))
	}
	for name, value := range w.Headers {
		c.fields = append(c.fields, field{http.CanonicalHeaderKey(name), value})
	}
	return c
}

func (c *condition) match(r *http.Request) bool {
	if len(c.methods) > 0 && !slices.Contains(c.methods, r.Method) {
		return false
	}
	for _, f := range c.fields {
		if !f.match(r) {
			return false
		}
	}
	return (c.paths == nil || c.matchPath(r)) && (c.principals == nil || c.matchPrincipal(r))
}

// matchPath asks the record: in r the path stands as the client spelled it.
func (c *condition) matchPath(r *http.Request) bool {
	path := exchange.From(r.Context()).Path
	return slices.ContainsFunc(c.paths, func(p exchange.PathGlob) bool { return p.Match(path) })
}

func (c *condition) matchPrincipal(r *http.Request) bool {
	p := exchange.From(r.Context()).Principal()
	return p != nil && c.principals.Match(p.Subject)
}

func (f field) match(r *http.Request) bool {
	values := exchange.Values(r, f.name)
	return f.value == "*" && len(values) > 0 || slices.Contains(values, f.value)
}
