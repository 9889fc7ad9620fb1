// Package authz holds two gates: Authn finds out who sends a request, Authz
// decides whether they may.
//
// They stand behind validation and before the rate limit:
//
//	validation(authn(authz(rateLimit(...))))
//
// Authn puts a Principal on the record, proven by a JWT (RFC 7519, RFC 6750),
// or refuses. Authz reads that principal and never the token. Nothing of a
// token that was not verified is passed on, and no token or key is ever part
// of an error.
package authz

import (
	"fmt"
	"net/http"

	"sidecar/internal/exchange"
)

// Authz is one authz policy: who may do what. It is immutable and safe for
// concurrent use.
type Authz struct {
	name        string
	line        int
	deny, allow []rule
	open        bool // what holds when no rule matches
}

// New returns the policy called name, its rules compiled. c must be valid.
func New(name string, c Config) *Authz {
	a := &Authz{name: name, line: c.Line, open: c.Default == Allow}
	for i, rc := range c.Rules {
		if rc.Name == "" {
			rc.Name = fmt.Sprintf("rule-%d", i+1)
		}
		if r := newRule(rc); rc.Effect == Deny {
			a.deny = append(a.deny, r)
		} else {
			a.allow = append(a.allow, r)
		}
	}
	return a
}

// Check returns nil or a *exchange.Refusal: a deny rule that matches wins,
// then an allow rule, then the default. A path that was sent in another
// spelling than the usual one must be allowed as it was sent and as it reads
// decoded, since we do not know which of them the upstream goes by.
func (a *Authz) Check(r *http.Request) error {
	p := exchange.From(r.Context()).Principal()
	if err := a.check(r, r.URL.Path, p); err != nil {
		return err
	}
	// net/url keeps RawPath only if it is not how Path would be encoded.
	if raw := r.URL.RawPath; raw != "" && raw != r.URL.Path {
		if err := a.check(r, raw, p); err != nil {
			err.Note += ", for the path as it was sent"
			return err
		}
	}
	return nil
}

func (a *Authz) check(r *http.Request, path string, p *exchange.Principal) *exchange.Refusal {
	if rule := first(a.deny, r.Method, path, p); rule != nil {
		return a.refuse(exchange.RuleDenied, rule.line, fmt.Sprintf("rule %q denies", rule.name), p)
	}
	if a.open || first(a.allow, r.Method, path, p) != nil {
		return nil
	}
	return a.refuse(exchange.NoAllowRule, a.line, "no rule allows", p)
}

// refuse tells the client nothing of the rules; the record hears which it was.
func (a *Authz) refuse(reason exchange.Reason, line int, note string, p *exchange.Principal) *exchange.Refusal {
	f := &exchange.Refusal{Kind: exchange.Authz, Policy: a.name, Reason: reason, Note: note, Line: line}
	if p != nil {
		// RFC 6750 section 3.1: the token is good, but not for this.
		f.Header = http.Header{"Www-Authenticate": {realm + `, error="insufficient_scope"`}}
	}
	return f
}
