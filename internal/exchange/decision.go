package exchange

import "time"

// Outcome is what a policy did with an exchange.
type Outcome string

const (
	Pass   Outcome = "pass"   // nothing to object to
	Refuse Outcome = "refuse" // answered in the upstream's place
	Act    Outcome = "act"    // changed the course: a retry, a fault, a fallback
	Shadow Outcome = "shadow" // would have refused or acted
	Broken Outcome = "broken" // could not do its work
)

// Decision is one policy's word on one exchange. Kind, Policy, Outcome,
// Reason and Rule become metric labels, so they come from code and from the policy
// file, never from a request. Detail is for people and may speak of the
// request, but never holds a secret.
type Decision struct {
	Kind    string
	Policy  string
	Outcome Outcome
	Reason  Reason // empty for a plain pass
	Rule    string // the authz rule that decided, by its name in the policy file; empty where none did
	Detail  string
	Line    int       // of the policy or rule in the policy file; 0 for a built-in one
	At      time.Time // when it was noted; zero in an exchange that is not traced
	Proxy   string    // the error type of Proxy-Status; empty: that of Reason
}

// Notable reports whether d is more than a plain pass.
func (d *Decision) Notable() bool { return d.Outcome != Pass || d.Reason != "" }
