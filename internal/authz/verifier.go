package authz

import (
	"context"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// verifier finds out what the tokens of one issuer prove.
type verifier interface {
	// verify returns what t says, or why it is not believed.
	verify(ctx context.Context, t shownToken) (believed, *rejection)
}

// believed is what a good token says, and how long that counts.
type believed struct {
	issuer string
	claims jwt.MapClaims
	until  time.Time                // at most; zero: as long as exp says
	holds  func(now time.Time) bool // not any longer than this; nil: it does
}

// end returns when b counts no more, of a token that may be late by skew; zero
// is now.
func (b believed) end(skew time.Duration) time.Time {
	exp, err := b.claims.GetExpirationTime()
	if err != nil || exp == nil {
		return b.until
	}
	if end := exp.Add(skew); b.until.IsZero() || end.Before(b.until) {
		return end
	}
	return b.until
}

// Keeper has what outlives a policy that uses it. An issuer that two policies
// describe alike is one to it.
type Keeper interface {
	KeySet(c KeySetConfig) *KeySet
	Introspector(c IntrospectorConfig) *Introspector
}

// verifier returns what verifies the tokens of c, or an error and the field that
// names the file which is at fault.
func (c IssuerConfig) verifier(
	read func(path string) ([]byte, error), keeper Keeper, skew time.Duration,
) (_ verifier, field string, _ error) {
	rules := []jwt.ParserOption{jwt.WithLeeway(skew)}
	if len(c.Audiences) > 0 {
		rules = append(rules, jwt.WithAudience(c.Audiences...))
	}
	if c.Introspection != nil {
		secret, err := c.Introspection.secret(read)
		if err != nil {
			return nil, "introspection.clientSecretFile", err
		}
		return newIntrospected(c.Issuer, keeper.Introspector(c.introspector(secret)), rules), "", nil
	}
	if c.fetched() {
		return newJWTIssuer(c, keeper.KeySet(c.keySet()), rules), "", nil
	}
	ks, field, err := c.readKeys(read)
	if err != nil {
		return nil, field, err
	}
	return newJWTIssuer(c, &ks, rules), "", nil
}

// readKeys returns the keys in the file of c, and which field names it.
func (c IssuerConfig) readKeys(read func(path string) ([]byte, error)) (ks keys, field string, err error) {
	field, path := "jwksFile", c.JWKSFile
	parse := func(data []byte) (keys, error) { return parseJWKS(data, c.algorithms()) }
	switch {
	case c.SecretFile != "":
		field, path, parse = "secretFile", c.SecretFile, parseSecret
	case c.PublicKeyFile != "":
		field, path = "publicKeyFile", c.PublicKeyFile
		parse = func(data []byte) (keys, error) { return parsePEM(data, c.algorithms()) }
	}
	data, err := read(path)
	if err != nil {
		return keys{}, field, err
	}
	ks, err = parse(data)
	return ks, field, err
}
