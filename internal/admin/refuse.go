package admin

import (
	"fmt"
	"net/http"
	"time"

	"sidecar/internal/exchange"
	"sidecar/internal/policy"
)

// refused tells of a credential that does not do, unless its address has had
// its share of being told of.
func (a *Admin) refused(r *http.Request, why string, nth int) {
	if nth == maxStrikes {
		why += "; this is the last one of this address that is told for a while"
	}
	if a.Tell != nil && nth <= maxStrikes {
		_ = a.Tell(exchange.Event{ // it is refused, whoever hears of it
			Kind: exchange.Admin, Name: fmt.Sprintf("%.16s %.200s", r.Method, r.URL.Path), Who: who(r),
			Detail: "the credential does not do: " + why, Bad: true,
		})
	}
}

// unauthorized answers as RFC 6750 section 3 has it; wrong: there was a token.
func unauthorized(w http.ResponseWriter, s policy.Server, wrong bool) {
	challenge, from := `Bearer realm="sidecar admin"`, "server.adminToken"
	if s.AdminAuth != nil {
		from = "server.adminAuth"
	}
	detail := "the request must carry Authorization: Bearer TOKEN, with the token of " + from
	if wrong {
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
	fail(w, http.StatusTooManyRequests, fmt.Sprintf("this address has shown too many wrong tokens; its next credential is looked at in %d s", seconds))
}
