package authz

import (
	"context"
	"fmt"

	"github.com/golang-jwt/jwt/v5"

	"sidecar/internal/exchange"
)

// introspected believes what the issuer says when it is asked.
type introspected struct {
	issuer    string
	by        *Introspector
	validator *jwt.Validator
}

func newIntrospected(issuer string, by *Introspector, rules []jwt.ParserOption) *introspected {
	return &introspected{issuer: issuer, by: by, validator: jwt.NewValidator(rules...)}
}

// verify has what it returns count as long as the answer does.
func (i *introspected) verify(ctx context.Context, t shownToken) (believed, *rejection) {
	a, err := i.by.ask(ctx, t.text)
	if err != nil {
		return believed{}, &rejection{
			reason:     exchange.IntrospectionUnavailable,
			detail:     "the token's issuer could not be asked about it",
			note:       fmt.Sprintf("introspection by issuer %q: %v", i.issuer, err),
			retryAfter: 1,
		}
	}
	if a.claims == nil {
		return believed{}, invalid("the token is not active")
	}
	if why := i.judge(a.claims); why != nil {
		return believed{}, why
	}
	return believed{issuer: i.issuer, claims: a.claims, until: a.until}, nil
}

// judge looks at claims as at those of a JWT, but that exp and iss may be
// absent (RFC 7662 section 2.2).
func (i *introspected) judge(claims jwt.MapClaims) *rejection {
	if err := i.validator.Validate(claims); err != nil {
		return reject(err, claims)
	}
	if iss, ok := claims["iss"]; ok && iss != i.issuer {
		return invalid("the token is from another issuer")
	}
	if _, err := claims.GetSubject(); err != nil {
		return invalid(subText)
	}
	return nil
}
