package exchange

import (
	"fmt"
	"net/http"
)

// A Refusal is an error that answers the client in the upstream's place. It
// is terminal: retry does not repeat it and the breaker does not count it.
// Status, problem type and gRPC code follow from its Reason.
type Refusal struct {
	Kind   string // who refuses: a kind of policy, or ByProxy and its like
	Policy string // its name
	Reason Reason
	Detail string // this occurrence, for the client: no internals, no secrets
	Note   string // for the record and the log only, never sent to the client
	Rule   string // the rule that refuses; only an authz rule does
	Line   int    // of the policy or rule in the policy file; 0 if none
	Proxy  string // the error type of Proxy-Status; empty: that of Reason

	// Spent names the limits that are spent, as the RateLimit-Policy field
	// calls them; only a rate limit has any.
	Spent []string

	// Errors are what is wrong in detail, and MoreErrors how many there are
	// besides; only a validation has any.
	Errors     []Violation
	MoreErrors int

	// Header goes into the answer: Retry-After, WWW-Authenticate, Allow.
	Header http.Header

	// Ready, if it is there, goes to the client in place of a problem document.
	Ready *Ready
}

// Ready is an answer that somebody else has worded: an external decision point.
type Ready struct {
	Status      int
	ContentType string
	Body        []byte
}

// A Violation is one thing that is wrong with a request, for its client. It
// says where, and what would be right; never what was there, which may be a
// secret.
type Violation struct {
	// Pointer is where in a body, as a JSON Pointer (RFC 6901); "" is the
	// whole. Nil: it is not about a body.
	Pointer *string `json:"pointer,omitempty"`
	// In is path, query, header or cookie, and Name the parameter's, for one
	// that is not about a body.
	In     string `json:"in,omitempty"`
	Name   string `json:"name,omitempty"`
	Detail string `json:"detail"`
}

// Error returns "kind/policy: reason: detail".
func (f *Refusal) Error() string {
	who := f.Kind
	if f.Policy != "" {
		who += "/" + f.Policy
	}
	if f.Detail == "" {
		return fmt.Sprintf("%s: %s", who, f.Reason)
	}
	return fmt.Sprintf("%s: %s: %s", who, f.Reason, f.Detail)
}

// Decision returns f as the record keeps it: its Detail is the Note, or what
// the client is told when there is none.
func (f *Refusal) Decision() Decision {
	d := Decision{Kind: f.Kind, Policy: f.Policy, Outcome: Refuse, Reason: f.Reason, Rule: f.Rule, Detail: f.Note, Line: f.Line, Proxy: f.Proxy}
	if d.Detail == "" {
		d.Detail = f.Detail
	}
	return d
}
