package authz

import "strings"

// maxToken bounds what is parsed for somebody who has proven nothing yet.
const maxToken = 8 << 10

// bearerChallenge asks for a token (RFC 6750 section 3).
const bearerChallenge = `Bearer realm="sidecar"`

// bearer returns the token in the Authorization fields (RFC 6750 section 2.1),
// and whether they show one: another scheme than Bearer does not. Whether it is
// a token at all is left to who verifies it: to look at each byte costs more
// than to know it again. What stands around the scheme may be anything that
// some upstream would take for a space, and makes a bad token, not none.
func bearer(fields []string) (token string, shown bool, why *rejection) {
	if len(fields) > 1 {
		return "", true, malformed("there is more than one Authorization header")
	}
	if len(fields) == 0 {
		return "", false, nil
	}
	if token, ok := strings.CutPrefix(fields[0], "Bearer "); ok && usual(token) {
		return token, true, nil
	}
	field := strings.Trim(fields[0], " \t")
	at := strings.IndexFunc(field, isTokenChar)
	if at < 0 {
		return "", false, nil
	}
	end := len(field)
	if n := strings.IndexFunc(field[at:], isNoTokenChar); n >= 0 {
		end = at + n
	}
	if !strings.EqualFold(field[at:end], "Bearer") {
		return "", false, nil
	}
	if at > 0 {
		return "", true, malformed(noBearer)
	}
	token = strings.TrimLeft(field[end:], " ")
	if len(token) > maxToken {
		return "", true, invalid("the token is too long")
	}
	return token, true, nil
}

// usual reports whether a token stands behind its scheme as nearly all do, so
// that there is nothing to take off it.
func usual(token string) bool {
	return token != "" && len(token) <= maxToken && token[0] != ' ' && !strings.HasSuffix(token, " ") && !strings.HasSuffix(token, "\t")
}

const noBearer = "the Authorization header must be Bearer and one token"

// isTokenChar reports whether the name of a scheme may hold c (RFC 9110 section
// 5.6.2).
func isTokenChar(c rune) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("!#$%&'*+-.^_`|~", c)
}

func isNoTokenChar(c rune) bool { return !isTokenChar(c) }

// isToken68 reports whether s is a b64token (RFC 6750 section 2.1), which is
// token68 of RFC 9110 section 11.2.
func isToken68(s string) bool {
	s = strings.TrimRight(s, "=")
	for i := range len(s) {
		if !token68[s[i]] {
			return false
		}
	}
	return s != ""
}

var token68 = func() (is [256]bool) {
	for _, c := range []byte("-._~+/0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") {
		is[c] = true
	}
	return is
}()
