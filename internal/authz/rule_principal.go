package authz

import (
	"slices"
	"strings"

	"sidecar/internal/exchange"
)

func (r *rule) matchPrincipal(p *exchange.Principal) bool {
	return (len(r.roles) == 0 || r.matchRole(p.Roles)) &&
		(len(r.principals) == 0 || r.principals.Match(p.Subject)) &&
		r.matchScopes(p) &&
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

func (r *rule) matchScopes(p *exchange.Principal) bool {
	if len(r.scopes) == 0 {
		return true
	}
	scope, _ := p.Claim("scope")
	scp, _ := p.Claim("scp")
	for _, want := range r.scopes {
		if !hasWord(scope, want) && !hasWord(scp, want) {
			return false
		}
	}
	return true
}

// hasWord reports whether claim, a list or a text of words, has word. It finds
// what words returns, and allocates nothing.
func hasWord(claim any, word string) bool {
	switch v := claim.(type) {
	case string:
		for w := range strings.FieldsSeq(v) {
			if w == word {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(v, func(e any) bool { s, ok := e.(string); return ok && s == word })
	}
	return false
}

func (r *rule) matchClaims(p *exchange.Principal) bool {
	for _, want := range r.claims {
		if claim, ok := p.Claim(want.name); !ok || !holds(claim, want.values) {
			return false
		}
	}
	return true
}

// holds reports whether a claim is one of values, or has one among its own.
func holds(claim any, values exchange.Wildcards) bool {
	if list, ok := claim.([]any); ok {
		for _, e := range list {
			if text, ok := exchange.Text(e); ok && values.Match(text) {
				return true
			}
		}
		return false
	}
	text, ok := exchange.Text(claim)
	return ok && values.Match(text)
}
