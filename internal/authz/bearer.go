package authz

import (
	"strings"

	"sidecar/internal/exchange"
)

// maxToken bounds what is parsed for somebody who has proven nothing yet.
const maxToken = 8 << 10

// rejection is why nobody was authenticated. Its words never hold a part of
// the token but the issuer's name.
type rejection struct {
	reason exchange.Reason
	detail string // for the client; without " and \
	note   string // for the record, if it knows more

	retryAfter int // seconds, when the token could not be judged; else 0
}

// realm names what is protected, in every challenge.
const realm = `Bearer realm="sidecar"`

// challenge returns the WWW-Authenticate field that asks for a token (RFC 6750
// section 3.1). To a client that has shown none it tells no error.
func (why *rejection) challenge() string {
	switch why.reason {
	case exchange.TokenMissing, exchange.CredentialMissing, exchange.APIKeyInvalid, exchange.CertificateInvalid:
		return realm
	case exchange.TokenMalformed:
		return realm + `, error="invalid_request", error_description="` + why.detail + `"`
	}
	return realm + `, error="invalid_token", error_description="` + why.detail + `"`
}

func malformed(detail string) *rejection {
	return &rejection{reason: exchange.TokenMalformed, detail: detail}
}

func invalid(detail string) *rejection {
	return &rejection{reason: exchange.TokenInvalid, detail: detail}
}

// bearer returns the token in the Authorization fields (RFC 6750 section 2.1),
// and whether they show one: another scheme than Bearer does not. Whether it is
// a token at all is left to who verifies it: to look at each byte costs more
// than to know it again.
func bearer(fields []string) (token string, shown bool, why *rejection) {
	if len(fields) > 1 {
		return "", true, malformed("there is more than one Authorization header")
	}
	if len(fields) == 0 {
		return "", false, nil
	}
	scheme, token, _ := strings.Cut(strings.Trim(fields[0], " \t"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", false, nil
	}
	token = strings.TrimLeft(token, " ")
	if len(token) > maxToken {
		return "", true, invalid("the token is too long")
	}
	return token, true, nil
}

// isToken68 reports whether s is a b64token (RFC 6750 section 2.1), which is
// token68 of RFC 9110 section 11.2.
func isToken68(s string) bool {
	s = strings.TrimRight(s, "=")
	for _, c := range []byte(s) {
		switch {
		case c >= '0' && c <= '9', c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z':
		case c == '-', c == '.', c == '_', c == '~', c == '+', c == '/':
		default:
			return false
		}
	}
	return s != ""
}
