package exchange

import (
	"encoding/json"
	"strconv"
	"strings"
)

// Principal is who sends the request, as authn found it proven. It is not
// changed once it is on the record.
type Principal struct {
	Subject string
	Issuer  string
	Roles   []string

	// By is the credential that proved it: ByToken, ByAPIKey or
	// ByClientCertificate.
	By string

	// Claims is what the credential says, as decoded JSON.
	Claims map[string]any
	// Names maps a name of our own to the path of a claim: the policy's
	// authn.claims.
	Names map[string]string
}

// The credentials that prove a principal; the words of authn.order.
const (
	ByToken             = "token"
	ByAPIKey            = "apiKey"
	ByClientCertificate = "clientCertificate"
)

// Claim returns the claim called name: the one that the policy maps the name
// to, else the one at that path, its parts joined by dots.
func (p *Principal) Claim(name string) (any, bool) {
	if path, ok := p.Names[name]; ok {
		name = path
	}
	// A claim whose own name holds dots (https://example.com/role) is found
	// whole before it is read as a path.
	if v, ok := p.Claims[name]; ok {
		return v, true
	}
	if strings.IndexByte(name, '.') < 0 {
		return nil, false
	}
	var at any = p.Claims
	for part := range strings.SplitSeq(name, ".") {
		m, ok := at.(map[string]any)
		if !ok {
			return nil, false
		}
		if at, ok = m[part]; !ok {
			return nil, false
		}
	}
	return at, true
}

// Text returns a scalar claim as people write it: a string as it is, a number
// without an exponent, true or false. A list, an object and null have no text.
// It does not allocate for what JSON usually holds, if numbers were decoded as
// json.Number.
func Text(claim any) (string, bool) {
	switch v := claim.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case json.Number:
		if !strings.ContainsAny(string(v), "eE") {
			return string(v), true
		}
		f, err := v.Float64()
		return strconv.FormatFloat(f, 'f', -1, 64), err == nil
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), true
	}
	return "", false
}
