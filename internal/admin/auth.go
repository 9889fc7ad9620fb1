package admin

import (
	"context"
	"net/http"

	"sidecar/internal/policy"
)

// role is what somebody may do, and what a request takes.
type role int

const (
	nobody role = iota
	viewer
	operator
)

func roleOf(word string) role {
	if word == policy.Operator {
		return operator
	}
	return viewer
}

// demand lets by who shows a credential of the policy that holds, with a role
// that does, and without one only those who need none. A reload that takes the
// credentials away opens nothing off loopback: there, the policies themselves
// are worth hiding.
func (a *Admin) demand(next http.Handler) http.Handler {
	onLoopback := local(hostOf(a.Listen), "")
	// Each kind is counted for itself: those who show nothing, which costs
	// nothing, must not hide what somebody tries who is known.
	var wrong, missing, poor strikes
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		server := a.server()
		need := needs(r, server, onLoopback)
		shown := r.Header["Authorization"]
		if wait := wrong.wait(r); need != nobody && wait > 0 { // whatever it shows
			tooMany(w, wait)
			return
		}
		name, has := prove(r, shown, server)
		if has != nobody {
			r = r.WithContext(context.WithValue(r.Context(), credentialKey{}, name))
		}
		switch {
		case has >= need:
			next.ServeHTTP(w, r)
		case has != nobody:
			a.refused(r, "it is a viewer's", poor.add(r))
			fail(w, http.StatusForbidden, "the credential is a viewer's; a change takes an operator's")
		case shown != nil:
			a.refused(r, "the policy does not know it", wrong.add(r))
			unauthorized(w, server, true)
		default:
			a.refused(r, "there is none", missing.add(r))
			unauthorized(w, server, false)
		}
	})
}

// server returns that section of the policy that holds.
func (a *Admin) server() policy.Server {
	if s := a.Proxy.Snapshot(); s != nil {
		return s.File().Server
	}
	return policy.Server{}
}

// needs returns the role that r takes; nobody is anybody.
func needs(r *http.Request, s policy.Server, onLoopback bool) role {
	switch {
	case looks(r) && onLoopback && (s.AdminAuth == nil || s.AdminAuth.AnonymousRead):
		return nobody
	case looks(r):
		return viewer
	case onLoopback && s.AdminAuth == nil && s.AdminToken.IsZero():
		return nobody
	}
	return operator
}

// looks reports whether r changes nothing (RFC 9110 section 9.2.1).
func looks(r *http.Request) bool {
	return r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions
}

type credentialKey struct{}

// credential returns the name of what r has proven itself with, if anything.
func credential(r *http.Request) string {
	name, _ := r.Context().Value(credentialKey{}).(string)
	return name
}
