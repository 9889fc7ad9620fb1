package authz

import (
	"maps"
	"slices"

	"sidecar/internal/exchange"
)

// rule is a RuleConfig made ready to match.
type rule struct {
	name string
	line int

	personal   bool // asks for something only a principal has
	methods    []string
	roles      map[string]struct{}
	claims     []claimIs
	principals []wildcard
	paths      []pathGlob
}

type claimIs struct{ name, value string }

func newRule(c RuleConfig) rule {
	w := c.When
	r := rule{
		name:     c.Name,
		line:     c.Line,
		personal: len(w.Roles)+len(w.Claims)+len(w.Principals) > 0,
		methods:  slices.Clone(w.Methods),
		roles:    make(map[string]struct{}, len(w.Roles)),
	}
	for _, role := range w.Roles {
		r.roles[role] = struct{}{}
	}
	for _, name := range slices.Sorted(maps.Keys(w.Claims)) {
		r.claims = append(r.claims, claimIs{name, w.Claims[name]})
	}
	for _, pattern := range w.Principals {
		r.principals = append(r.principals, newWildcard(pattern))
	}
	for _, pattern := range w.Paths {
		r.paths = append(r.paths, newPathGlob(pattern))
	}
	return r
}

// first returns the first of rules that matches, or nil.
func first(rules []rule, method, path string, p *exchange.Principal) *rule {
	for i := range rules {
		if rules[i].match(method, path, p) {
			return &rules[i]
		}
	}
	return nil
}

// match reports whether every key of the rule holds. p may be nil: then a rule
// that speaks of a principal never matches.
func (r *rule) match(method, path string, p *exchange.Principal) bool {
	return (len(r.methods) == 0 || slices.Contains(r.methods, method)) &&
		(!r.personal || p != nil && r.matchPrincipal(p)) &&
		(len(r.paths) == 0 || r.matchPath(path))
}

func (r *rule) matchPrincipal(p *exchange.Principal) bool {
	return (len(r.roles) == 0 || r.matchRole(p.Roles)) &&
		(len(r.principals) == 0 || r.matchSubject(p.Subject)) &&
		r.matchClaims(p)
}

func (r *rule) matchRole(roles []string) bool {
	for _, role := range roles {
		if _, ok := r.roles[role]; ok {
			return true
		}
	}
	return false
}

func (r *rule) matchSubject(subject string) bool {
	for _, pattern := range r.principals {
		if pattern.match(subject) {
			return true
		}
	}
	return false
}

func (r *rule) matchClaims(p *exchange.Principal) bool {
	for _, want := range r.claims {
		if claim, ok := p.Claim(want.name); !ok || !holds(claim, want.value) {
			return false
		}
	}
	return true
}

func (r *rule) matchPath(path string) bool {
	for _, glob := range r.paths {
		if glob.match(path) {
			return true
		}
	}
	return false
}
