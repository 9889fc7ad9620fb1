// Package authz holds two gates: Authn finds out who sends a request, Authz
// decides whether they may.
//
// They stand behind validation and before the rate limit:
//
//	validation(authn(authz(rateLimit(...))))
//
// Authn puts a Principal on the record, proven by a token (RFC 7519, RFC 6750),
// an API key or a client certificate, or refuses. Authz reads that principal and
// never the credential. Nothing of a token or key that was to be verified, and
// was not, is passed on, and none is ever part of an error.
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
	explain     bool
	shadow      bool
	deny, allow rules
	headers     bool               // some rule asks for header fields
	hosts       bool               // some rule asks for the host
	open        bool               // what holds when no rule matches
	external    *External          // asked in place of the rules; nil: none
	passed      *exchange.Decision // without a rule
}

// New returns the policy called name, its rules compiled. c must be valid;
// external is what c.External describes, and nil without it.
func New(name string, c Config, external *External) *Authz {
	a := &Authz{
		name: name, line: c.Line, explain: c.Explain, shadow: c.Mode == exchange.ModeShadow,
		open: c.Default == Allow, external: external, passed: passing(name, "", c.Line),
	}
	for i, rc := range c.Rules {
		if rc.Name == "" {
			rc.Name = fmt.Sprintf("rule-%d", i+1)
		}
		a.headers = a.headers || len(rc.When.Headers) > 0
		a.hosts = a.hosts || len(rc.When.Hosts) > 0
		r := newRule(rc)
		r.passed = passing(name, r.name, r.line)
		if r.deny {
			a.deny.add(r)
		} else {
			a.allow.add(r)
		}
	}
	return a
}

// Check returns nil, and notes on the record which rule let r by; or it returns
// a *exchange.Refusal: a deny rule that matches wins, then an allow rule, then
// the default. A path that can be read in several ways must be allowed in each.
func (a *Authz) Check(r *http.Request) error {
	rec := exchange.From(r.Context())
	if a.external != nil {
		return a.consult(r, rec)
	}
	about := asked{
		Request: r, path: r.URL.Path, client: rec.Client, principal: rec.Principal(),
		spelled: a.headers && spelled(r.Header),
	}
	if a.hosts {
		about.host = exchange.HostOnly(r.Host)
	}
	by, err := a.judge(&about)
	if err != nil {
		return err
	}
	if !OneWay(r.URL) {
		if err := a.judgeReadings(&about); err != nil {
			return err
		}
	}
	if by == nil {
		rec.Pass(a.passed)
	} else {
		rec.Pass(by.passed)
	}
	return nil
}

// passing is the word of a policy whose rule lets a request pass; "" is none.
func passing(policy, rule string, line int) *exchange.Decision {
	return &exchange.Decision{Kind: exchange.Authz, Policy: policy, Outcome: exchange.Pass, Rule: rule, Line: line}
}

// judgeReadings returns a refusal if a path is not allowed in each of its
// readings, or nil.
func (a *Authz) judgeReadings(about *asked) error {
	for _, reading := range Readings(about.URL) {
		if about.path = reading; reading == "" {
			continue
		}
		if _, err := a.judge(about); err != nil {
			err.Note += fmt.Sprintf(", for the path read as %q", reading)
			return err
		}
	}
	return nil
}

// judge returns the rule that allows, nil for the default, or a refusal.
func (a *Authz) judge(about *asked) (*rule, *exchange.Refusal) {
	if by := a.deny.first(about); by != nil {
		f := a.refuse(exchange.RuleDenied, by.line, fmt.Sprintf("rule %q denies", by.name), about.principal)
		f.Rule = by.name
		return nil, f
	}
	by := a.allow.first(about)
	if by == nil && !a.open {
		return nil, a.refuse(exchange.NoAllowRule, a.line, "no rule allows", about.principal)
	}
	return by, nil
}

// refuse tells the client nothing of the rules, unless they are to be
// explained; the record hears which it was.
func (a *Authz) refuse(reason exchange.Reason, line int, note string, p *exchange.Principal) *exchange.Refusal {
	f := &exchange.Refusal{Kind: exchange.Authz, Policy: a.name, Reason: reason, Note: note, Line: line}
	if a.explain {
		f.Detail = fmt.Sprintf("%s (line %d of the policy)", note, line)
	}
	if p != nil && p.By != exchange.ByAPIKey && p.By != exchange.ByClientCertificate {
		// RFC 6750 section 3.1: the token is good, but not for this.
		f.Header = http.Header{"Www-Authenticate": {bearerChallenge + `, error="insufficient_scope"`}}
	}
	return f
}
