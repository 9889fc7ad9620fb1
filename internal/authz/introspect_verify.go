package authz

import (
	"context"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"sidecar/internal/exchange"
)

// introspected believes what the issuer says when it is asked.
type introspected struct {
	issuer    string
	by        *Introspector
	validator *jwt.Validator
	skew      time.Duration
}

func newOpaque(c IssuerConfig, by *Introspector, skew time.Duration) *issuer {
	options := []jwt.ParserOption{jwt.WithLeeway(skew)}
	if len(c.Audiences) > 0 {
		options = append(options, jwt.WithAudience(c.Audiences...))
	}
	return &issuer{
		name: c.Issuer,
		keys: &keys{}, // always the same: no key vouches for an answer
		opaque: &introspected{
			issuer: c.Issuer, by: by, validator: jwt.NewValidator(options...), skew: skew,
		},
	}
}

// verify returns what the issuer says of token, and until when that may be
// gone by.
func (o *introspected) verify(ctx context.Context, token string) (jwt.MapClaims, time.Time, *rejection) {
	a, err := o.by.ask(ctx, token)
	if err != nil {
		return nil, time.Time{}, &rejection{
			reason:     exchange.IntrospectionUnavailable,
			detail:     "the token's issuer could not be asked about it",
			note:       fmt.Sprintf("introspection by issuer %q: %v", o.issuer, err),
			retryAfter: 1,
		}
	}
	if a.claims == nil {
		return nil, time.Time{}, invalid("the token is not active")
	}
	if why := o.judge(a.claims); why != nil {
		return nil, time.Time{}, why
	}
	until := a.until
	if exp := expiry(a.claims, o.skew); !exp.IsZero() && exp.Before(until) {
		until = exp
	}
	return a.claims, until, nil
}

// judge looks at claims as at those of a JWT, but that exp and iss may be
// absent (RFC 7662 section 2.2).
func (o *introspected) judge(claims jwt.MapClaims) *rejection {
	if err := o.validator.Validate(claims); err != nil {
		return reject(err, claims)
	}
	if iss, ok := claims["iss"]; ok && iss != o.issuer {
		return invalid("the token is from another issuer")
	}
	if _, err := claims.GetSubject(); err != nil {
		return invalid(subText)
	}
	return nil
}
