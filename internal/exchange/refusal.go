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
	Line   int    // of the policy or rule in the policy file; 0 if none

	// Header goes into the answer: Retry-After, WWW-Authenticate, Allow.
	Header http.Header
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
	d := Decision{Kind: f.Kind, Policy: f.Policy, Outcome: Refuse, Reason: f.Reason, Detail: f.Note, Line: f.Line}
	if d.Detail == "" {
		d.Detail = f.Detail
	}
	return d
}
