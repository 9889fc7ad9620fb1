package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"

	"sidecar/internal/exchange"
	"sidecar/internal/policy"
)

// prove returns what r shows itself to be, by its Authorization fields or, where
// it has none, by its certificate: that does not make up for a wrong token.
func prove(r *http.Request, shown []string, s policy.Server) (name string, has role) {
	if shown == nil {
		return proveCertificate(r, s.AdminAuth)
	}
	if is(shown, s.AdminToken) {
		return "adminToken", operator
	}
	if s.AdminAuth == nil {
		return "", nobody
	}
	for _, t := range s.AdminAuth.Tokens { // all of them: time tells nothing of which it is
		if is(shown, t.Token) {
			name, has = "token "+t.Name, roleOf(t.Role)
		}
	}
	return name, has
}

// is reports whether the one field in shown carries token. How long that takes
// tells nothing of the token, not even its length.
func is(shown []string, token policy.Secret) bool {
	if len(shown) != 1 || token.IsZero() {
		return false
	}
	scheme, text, _ := strings.Cut(shown[0], " ")
	got, want := sha256.Sum256([]byte(text)), sha256.Sum256([]byte(token.Value()))
	return strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare(got[:], want[:]) == 1
}

// proveCertificate looks at the certificate that the listener has verified.
func proveCertificate(r *http.Request, auth *policy.AdminAuth) (string, role) {
	if auth == nil || r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return "", nobody
	}
	subject, err := exchange.SubjectOf(r.TLS.VerifiedChains[0][0])
	if err != nil {
		return "", nobody
	}
	for _, c := range auth.Certificates {
		prefix, any := strings.CutSuffix(c.Principal, "*")
		if subject == c.Principal || any && strings.HasPrefix(subject, prefix) {
			return "certificate " + subject, roleOf(c.Role)
		}
	}
	return "", nobody
}
