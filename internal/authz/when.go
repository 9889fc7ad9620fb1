package authz

import (
	"fmt"
	"strings"

	"sidecar/internal/exchange"
)

// When is a conjunction: every key that is there must hold. Roles, Scopes,
// Claims and Principals speak of the principal: where nobody is proven they do
// not hold, so a rule that has one of them does not match, a deny rule neither.
// Deny what holds for everybody by a rule without them.
type When struct {
	// Roles: the principal has one of them.
	Roles []string `yaml:"roles,omitempty"`
	// Scopes: the principal has all of them, in its claim scope or scp (RFC
	// 8693 section 4.2), a list or a text with spaces between.
	Scopes []string `yaml:"scopes,omitempty"`
	// Methods: the request has one of them.
	Methods []string `yaml:"methods,omitempty"`
	// Paths: the decoded path matches one of them. * stands for one segment
	// or a part of one; **, which is a segment of its own, for any number of
	// segments. A path that servers read in several ways (parameters behind a
	// semicolon; with server.paths raw also encodings, dot segments, empty
	// segments) is judged in each, and must be allowed in all. A slash at the end and the case of letters make
	// another path: /a/** matches /a, /a/ and all below, and not /A.
	Paths []string `yaml:"paths,omitempty"`
	// Hosts: the request's host, without port, is one of them; *.example.com
	// is any name below it. Letters are the same in both cases.
	Hosts []string `yaml:"hosts,omitempty"`
	// Headers: each field is there and has one of these values, in which *
	// stands for any run of characters. Of a field that is there several
	// times, also as X_Name for X-Name, an allow rule wants all to have one,
	// a deny rule any, also of those that a field lists between commas. To a
	// deny rule a trailer of that name is enough if it is announced, whatever
	// its value, which comes behind the body.
	Headers map[string]exchange.OneOrMore `yaml:"headers,omitempty"`
	// SourceAddresses: the client is in one of these networks, such as
	// 10.0.0.0/8, or at one of these addresses. Who the client is, trusted
	// proxies tell.
	SourceAddresses []exchange.Network `yaml:"sourceAddresses,omitempty"`
	// Claims: each claim, by name or path, has one of these values, or has it
	// among its values. * stands for any run of characters.
	Claims map[string]exchange.OneOrMore `yaml:"claims,omitempty"`
	// Principals: the subject matches one of them. * stands for any run of
	// characters.
	Principals []string `yaml:"principals,omitempty"`
	// Body: whether the request has a body, also one that may turn out empty
	// since its length is not told before.
	Body *bool `yaml:"body,omitempty"`
}

// AsksWho returns the key of w that speaks of the principal; "" if none does.
func (w *When) AsksWho() string {
	switch {
	case len(w.Roles) > 0:
		return "roles"
	case len(w.Scopes) > 0:
		return "scopes"
	case len(w.Claims) > 0:
		return "claims"
	case len(w.Principals) > 0:
		return "principals"
	}
	return ""
}

func (w *When) validate(report exchange.Report) {
	none(report, "roles", w.Roles)
	none(report, "scopes", w.Scopes)
	none(report, "methods", w.Methods)
	none(report, "paths", w.Paths)
	none(report, "hosts", w.Hosts)
	none(report, "headers", w.Headers)
	none(report, "sourceAddresses", w.SourceAddresses)
	none(report, "claims", w.Claims)
	none(report, "principals", w.Principals)
	for i, scope := range w.Scopes {
		if scope == "" || strings.ContainsAny(scope, " \"\\") { // RFC 6749 section 3.3
			report(fmt.Sprintf("scopes[%d]", i), fmt.Sprintf("must be one scope, without spaces and quotes, got %q", scope))
		}
	}
	exchange.Methods(report, "methods", w.Methods)
	exchange.Paths(report, "paths", w.Paths)
	for i, host := range w.Hosts {
		exchange.Host(report, fmt.Sprintf("hosts[%d]", i), host)
	}
	for name, values := range w.Headers {
		exchange.HeaderName(report, "headers."+name, name)
		some(report, "headers."+name, values)
	}
	for name, values := range w.Claims {
		some(report, "claims."+name, values)
	}
}

// none reports a list or mapping that is there and empty: it reads as if nobody
// matched, and everybody would.
func none[L []string | []exchange.Network | map[string]exchange.OneOrMore](report exchange.Report, field string, list L) {
	if list != nil && len(list) == 0 {
		report(field, "must have at least one value; leave it out where it makes no difference")
	}
}

func some(report exchange.Report, field string, values exchange.OneOrMore) {
	if len(values) == 0 {
		report(field, "must have at least one value")
	}
}
