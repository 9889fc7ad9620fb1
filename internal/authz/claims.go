package authz

import (
	"strings"
	"unicode"

	"sidecar/internal/exchange"
)

// The names of our own that have a meaning.
const (
	subjectName = "subject"
	rolesName   = "roles"
)

// newPrincipal returns who the claims of a verified token speak of.
func newPrincipal(iss string, claims map[string]any, names map[string]string) *exchange.Principal {
	p := &exchange.Principal{Issuer: iss, By: exchange.ByToken, Claims: claims, Names: names}
	if subject, ok := p.Claim(subjectName); ok {
		p.Subject, _ = exchange.Text(subject)
	}
	roles, _ := p.Claim(rolesName)
	p.Roles = words(roles)
	return p
}

// words returns a list of strings, or a string of words as the scope claim has
// them (RFC 8693 section 4.2). What is no string is no word.
func words(claim any) []string {
	switch v := claim.(type) {
	case string:
		return strings.Fields(v)
	case []any:
		out := make([]string, 0, len(v))
		for _, e := range v {
			if s, ok := e.(string); ok {
				out = append(out, s)
			}
		}
		return out
	}
	return nil
}

// headerValue returns a claim as the upstream reads it in a header field:
// scalars as text, lists of them joined by commas. It returns "" for what is
// absent and for what a field cannot tell without saying something else: an
// object, a control character, a space at an end, which is no part of a field's
// value, a list whose element has a comma of its own.
func headerValue(p *exchange.Principal, name string) string {
	claim, _ := p.Claim(name)
	text, ok := exchange.Text(claim)
	if list, isList := claim.([]any); isList {
		text, ok = joined(list)
	}
	if !ok || strings.ContainsFunc(text, unicode.IsControl) || padded(text) {
		return ""
	}
	return text
}

func joined(list []any) (string, bool) {
	texts := make([]string, len(list))
	for i, e := range list {
		text, ok := exchange.Text(e)
		if !ok || strings.Contains(text, ",") || padded(text) {
			return "", false
		}
		texts[i] = text
	}
	return strings.Join(texts, ","), true
}

// padded reports whether text has spaces at its ends, which readers take off.
func padded(text string) bool { return strings.TrimSpace(text) != text }
