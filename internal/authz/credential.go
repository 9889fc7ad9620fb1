package authz

import (
	"context"
	"net/http"
	"slices"

	"sidecar/internal/exchange"
)

// credential is one way to prove who sends a request.
type credential interface {
	// prove returns what r proves, or why what it shows is refused; neither, if
	// it shows nothing of the kind.
	prove(ctx context.Context, r *http.Request) (*verified, *rejection)
	// challenge asks for the credential in WWW-Authenticate (RFC 9110 section
	// 11.6.1), of a client that was refused for why.
	challenge(why *rejection) string
}

// defaultOrder is that in which credentials are asked for: the one that speaks
// of the request goes before the one that speaks of the connection.
var defaultOrder = []string{exchange.ByToken, exchange.ByAPIKey, exchange.ByClientCertificate}

// configured returns the words of order that c accepts.
func (c *AuthnConfig) configured() []string {
	var words []string
	if len(c.Issuers) > 0 {
		words = append(words, exchange.ByToken)
	}
	if c.APIKeys != nil {
		words = append(words, exchange.ByAPIKey)
	}
	if c.ClientCertificates {
		words = append(words, exchange.ByClientCertificate)
	}
	return words
}

// credentials returns those that c accepts, in its order.
func (a *Authn) credentials(c AuthnConfig) []credential {
	order := c.Order
	if len(order) == 0 {
		order = defaultOrder
	}
	all := map[string]credential{
		exchange.ByToken: byToken{a}, exchange.ByAPIKey: a.apiKeys, exchange.ByClientCertificate: byCertificate{a},
	}
	var accepted []credential
	for _, word := range order {
		if slices.Contains(c.configured(), word) {
			accepted = append(accepted, all[word])
		}
	}
	return accepted
}

// prove returns what the first credential that r shows proves, or why it is
// refused: no other is asked then, so that none can make up for a bad one. It
// returns neither if r shows no credential.
func (a *Authn) prove(ctx context.Context, r *http.Request) (*verified, *rejection) {
	for _, c := range a.accepted {
		if v, why := c.prove(ctx, r); v != nil || why != nil {
			return v, why
		}
	}
	return nil, nil
}

// shown returns what the upstream sees of the credentials that r shows, one of
// which was proven: by, or none. It sees no other. A token's proof says it by
// itself.
func (a *Authn) shown(r *http.Request, by string) []exchange.Field {
	var fields []exchange.Field
	if a.apiKeys != nil {
		fields = append(fields, a.apiKeys.shown(r, by == exchange.ByAPIKey))
	}
	if _, token, _ := bearer(r.Header["Authorization"]); !a.forwardToken || token && a.takesTokens() {
		fields = append(fields, exchange.Field{Name: "Authorization"})
	}
	return fields
}

func (a *Authn) takesTokens() bool { return len(a.issuers) > 0 || a.opaque != nil }

// missing returns the rejection of a request without a credential.
func (a *Authn) missing() *rejection {
	if len(a.accepted) == 1 && a.takesTokens() {
		return &rejection{reason: exchange.TokenMissing}
	}
	return &rejection{reason: exchange.CredentialMissing}
}

func (a *Authn) challenges(why *rejection) []string {
	all := make([]string, len(a.accepted))
	for i, c := range a.accepted {
		all[i] = c.challenge(why)
	}
	return all
}

// byToken is the token in Authorization.
type byToken struct{ *Authn }

func (t byToken) prove(ctx context.Context, r *http.Request) (*verified, *rejection) {
	return t.authenticate(ctx, r.Header["Authorization"])
}

// challenge tells the error only to a client that has shown a token (RFC 6750
// section 3.1).
func (byToken) challenge(why *rejection) string {
	switch why.reason {
	case exchange.TokenMalformed:
		return bearerChallenge + `, error="invalid_request", error_description="` + why.detail + `"`
	case exchange.TokenInvalid, exchange.TokenExpired, exchange.IssuerUnknown:
		return bearerChallenge + `, error="invalid_token", error_description="` + why.detail + `"`
	}
	return bearerChallenge
}
