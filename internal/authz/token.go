package authz

import (
	"fmt"
	"maps"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"sidecar/internal/exchange"
)

// Token is what a token says that we make ourselves, to try a policy out.
type Token struct {
	Subject  string
	Roles    []string // at roles
	Issuer   string
	Audience string
	Claims   map[string]any // more of them; those above win

	// TTL is how long the token is valid from now, in whole seconds, rounded
	// up. A negative one makes a token that has expired.
	TTL time.Duration
}

// Sign returns c as a JWT, signed with HS256. It holds iat, nbf and exp, and of
// the rest what is not empty. The secret is what a secretFile holds: at least
// 32 bytes; line ends behind it are not part of it.
func Sign(secret []byte, c Token) (string, error) {
	secret = exchange.TrimSecret(secret)
	if len(secret) < minSecret {
		return "", fmt.Errorf("secret of %d bytes, must be at least %d", len(secret), minSecret)
	}
	claims := jwt.MapClaims{}
	maps.Copy(claims, c.Claims)
	for name, value := range map[string]string{"sub": c.Subject, "iss": c.Issuer, "aud": c.Audience} {
		if value != "" {
			claims[name] = value
		}
	}
	if len(c.Roles) > 0 {
		claims["roles"] = c.Roles
	}
	now := time.Now().Unix()
	claims["iat"], claims["nbf"] = now, now
	claims["exp"] = now + int64((c.TTL+time.Second-1)/time.Second)
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(secret)
	if err != nil {
		return "", fmt.Errorf("writing the claims: %w", err)
	}
	return token, nil
}
