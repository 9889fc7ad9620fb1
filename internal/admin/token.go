package admin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"fmt"
	"net/http"
	"strings"
	"time"

	"sidecar/internal/exchange"
	"sidecar/internal/policy"
)

// role is what somebody may do, and what a request takes.
type role int

const (
	nobody role = iota
	viewer
	operator
)

// demand lets by who shows a credential of the policy that holds, with a role
// that does, and without one only those who need none. A reload that takes the
// credentials away opens nothing off loopback: there, the policies themselves
// are worth hiding.
func (a *Admin) demand(next http.Handler) http.Handler {
	onLoopback := local(hostOf(a.Listen), "")
	var wrong, poor strikes // those that do not match, and those that are missing or too little
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		server, tokens := a.server()
		need := needs(r, server, onLoopback)
		_, guesses := r.Header["Authorization"]
		if wait := wrong.wait(r); need != nobody && guesses && wait > 0 {
			tooMany(w, wait)
			return
		}
		name, has := prove(r, server, tokens)
		switch {
		case has != nobody && has >= need:
			r = r.WithContext(context.WithValue(r.Context(), credentialKey{}, name))
		case need == nobody:
		case has != nobody:
			r = r.WithContext(context.WithValue(r.Context(), credentialKey{}, name))
			a.refused(r, "it is a viewer's", poor.add(r))
			fail(w, http.StatusForbidden, "the credential is a viewer's; a change takes an operator's")
			return
		default:
			if guesses {
				a.refused(r, "the policy does not know it", wrong.add(r))
			} else {
				a.refused(r, "there is none", poor.add(r))
			}
			unauthorized(w, r, server)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// server returns that section of the policy that holds, and finds the tokens
// in its files.
func (a *Admin) server() (policy.Server, func(policy.AdminToken) string) {
	if s := a.Proxy.Snapshot(); s != nil {
		return s.File().Server, s.File().AdminTokenOf
	}
	return policy.Server{}, nil
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

// prove returns what r shows itself to be. One that shows a token is that or
// nobody: a certificate does not make up for a wrong one.
func prove(r *http.Request, s policy.Server, tokens func(policy.AdminToken) string) (name string, has role) {
	_, shows := r.Header["Authorization"]
	if !shows {
		return proveCertificate(r, s.AdminAuth)
	}
	if t := s.AdminToken.Value(); t != "" && sends(r, t) {
		return "adminToken", operator
	}
	if s.AdminAuth == nil {
		return "", nobody
	}
	for _, t := range s.AdminAuth.Tokens { // all of them: time tells nothing of which it is
		if value := tokens(t); value != "" && sends(r, value) {
			name, has = "token "+t.Name, roleOf(t.Role)
		}
	}
	return name, has
}

// proveCertificate looks at the certificate that the listener has verified.
func proveCertificate(r *http.Request, auth *policy.AdminAuth) (string, role) {
	if auth == nil || r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return "", nobody
	}
	subject := subjectOf(r.TLS.VerifiedChains[0][0])
	for _, c := range auth.Certificates {
		prefix, any := strings.CutSuffix(c.Principal, "*")
		if subject != "" && (subject == c.Principal || any && strings.HasPrefix(subject, prefix)) {
			return "certificate " + subject, roleOf(c.Role)
		}
	}
	return "", nobody
}

// subjectOf returns whom a certificate speaks of; empty for nobody that one
// could be sure of. Only a URI may look like one.
func subjectOf(leaf *x509.Certificate) string {
	name := leaf.Subject.CommonName
	switch {
	case len(leaf.URIs) == 1:
		return leaf.URIs[0].String()
	case len(leaf.URIs) > 1:
		return ""
	case len(leaf.DNSNames) > 0:
		name = leaf.DNSNames[0]
	}
	if strings.Contains(name, ":") {
		return ""
	}
	return name
}

func roleOf(word string) role {
	if word == policy.Operator {
		return operator
	}
	return viewer
}

// sends reports whether r carries token. How long that takes tells nothing of
// the token, not even its length.
func sends(r *http.Request, token string) bool {
	fields := r.Header["Authorization"]
	if len(fields) != 1 {
		return false
	}
	scheme, got, _ := strings.Cut(fields[0], " ")
	is, want := sha256.Sum256([]byte(got)), sha256.Sum256([]byte(token))
	return strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare(is[:], want[:]) == 1
}

// looks reports whether r changes nothing (RFC 9110 section 9.2.1).
func looks(r *http.Request) bool {
	return r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions
}

// refused tells of a credential that does not do, unless its address has had
// its share of being told of.
func (a *Admin) refused(r *http.Request, why string, nth int) {
	if nth == maxStrikes {
		why += "; this is the last one of this address that is told for a while"
	}
	if a.Refused != nil && nth <= maxStrikes {
		a.Refused(exchange.Event{
			Kind: exchange.Admin, Name: fmt.Sprintf("%.16s %.200s", r.Method, r.URL.Path), Who: who(r),
			Detail: "the credential does not do: " + why, Bad: true,
		})
	}
}

// unauthorized answers as RFC 6750 section 3 has it.
func unauthorized(w http.ResponseWriter, r *http.Request, s policy.Server) {
	challenge, from := `Bearer realm="sidecar admin"`, "server.adminToken"
	if s.AdminAuth != nil {
		from = "server.adminAuth"
	}
	detail := "the request must carry Authorization: Bearer TOKEN, with the token of " + from
	if r.Header.Get("Authorization") != "" {
		challenge += `, error="invalid_token"`
		detail = "the token is not that of " + from
	}
	w.Header().Set("WWW-Authenticate", challenge)
	fail(w, http.StatusUnauthorized, detail)
}

// tooMany answers an address that guesses.
func tooMany(w http.ResponseWriter, wait time.Duration) {
	seconds := int(wait/time.Second) + 1
	w.Header().Set("Retry-After", fmt.Sprint(seconds))
	fail(w, http.StatusTooManyRequests, fmt.Sprintf("this address has shown too many wrong tokens; the next one is looked at in %d s", seconds))
}

type credentialKey struct{}

// credential returns the name of what r has proven itself with, if anything.
func credential(r *http.Request) string {
	name, _ := r.Context().Value(credentialKey{}).(string)
	return name
}
