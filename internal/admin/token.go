package admin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
)

// demand lets by who sends the token of the policy that holds, and without it
// only those who may do without: who looks, and does not change, on loopback;
// there, also who changes while the policy has no token. On any other address
// the policies themselves are worth hiding, and a reload that takes the token
// away opens nothing.
func (a *Admin) demand(next http.Handler) http.Handler {
	onLoopback := local(hostOf(a.Listen), "")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token := a.token()
		switch {
		case token != "" && sends(r, token):
			r = r.WithContext(context.WithValue(r.Context(), credentialKey{}, "adminToken"))
		case onLoopback && (token == "" || looks(r)):
		default:
			unauthorized(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// token returns the token of the policy that holds; empty if it has none.
func (a *Admin) token() string {
	if s := a.Proxy.Snapshot(); s != nil {
		return s.File().Server.AdminToken.Value()
	}
	return ""
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

// unauthorized answers as RFC 6750 section 3 has it.
func unauthorized(w http.ResponseWriter, r *http.Request) {
	challenge := `Bearer realm="sidecar admin"`
	detail := "the request must carry Authorization: Bearer TOKEN, with the token of server.adminToken"
	if r.Header.Get("Authorization") != "" {
		challenge += `, error="invalid_token"`
		detail = "the token is not that of server.adminToken"
	}
	w.Header().Set("WWW-Authenticate", challenge)
	fail(w, http.StatusUnauthorized, detail)
}

type credentialKey struct{}

// credential returns the name of what r has proven itself with, if anything.
func credential(r *http.Request) string {
	name, _ := r.Context().Value(credentialKey{}).(string)
	return name
}
