package authz

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"sidecar/internal/exchange"
)

// issuer verifies the tokens of one issuer with its keys and its algorithms,
// and no others (RFC 8725 sections 3.1 and 3.8).
type issuer struct {
	name   string
	keys   finder
	types  []string // of tokens, in lower case; empty: any
	parser *jwt.Parser
	skew   time.Duration
	opaque *introspected // verifies in place of all above but name; nil for JWTs
}

// Keeper has what outlives a policy that uses it. An issuer that two policies
// describe alike is one to it.
type Keeper interface {
	KeySet(c KeySetConfig) *KeySet
	Introspector(c IntrospectorConfig) *Introspector
}

// finder knows which keys may verify a token with the header's kid and alg.
type finder interface {
	// find may wait for the keys, until ctx ends.
	find(ctx context.Context, kid, alg string) ([]any, error)
	// current returns all keys that are believed now; nil if there are none.
	current() *keys
}

func newIssuer(c IssuerConfig, ks finder, skew time.Duration) *issuer {
	options := []jwt.ParserOption{
		jwt.WithValidMethods(c.algorithms()),
		jwt.WithIssuer(c.Issuer),
		jwt.WithExpirationRequired(),
		jwt.WithLeeway(skew),
		jwt.WithStrictDecoding(),
		// A number keeps its digits: an id of 17 figures would not survive
		// as a float64.
		jwt.WithJSONNumber(),
	}
	if len(c.Audiences) > 0 {
		options = append(options, jwt.WithAudience(c.Audiences...))
	}
	is := &issuer{name: c.Issuer, keys: ks, parser: jwt.NewParser(options...), skew: skew}
	for _, t := range c.Types {
		is.types = append(is.types, mediaType(t))
	}
	return is
}

// issuer returns the issuer that c describes, or an error and the field that
// names the file which is at fault.
func (c IssuerConfig) issuer(read func(path string) ([]byte, error), keeper Keeper, skew time.Duration) (field string, _ *issuer, _ error) {
	if c.Introspection != nil {
		secret, err := c.Introspection.secret(read)
		if err != nil {
			return "introspection.clientSecretFile", nil, err
		}
		return "", newOpaque(c, keeper.Introspector(c.introspector(secret)), skew), nil
	}
	if c.fetched() {
		return "", newIssuer(c, keeper.KeySet(c.keySet()), skew), nil
	}
	field, ks, err := c.keys(read)
	if err != nil {
		return field, nil, err
	}
	return "", newIssuer(c, &ks, skew), nil
}

// keys reads the keys of c, and tells which field names their file.
func (c IssuerConfig) keys(read func(path string) ([]byte, error)) (field string, ks keys, err error) {
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
		return field, keys{}, err
	}
	ks, err = parse(data)
	return field, ks, err
}

// issuerOf returns what token says in iss. It proves nothing: it only chooses
// who verifies the token.
func issuerOf(token string) (string, *rejection) {
	_, rest, _ := strings.Cut(token, ".")
	payload, _, ok := strings.Cut(rest, ".")
	if !ok {
		return "", invalid(noJWT)
	}
	data, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		return "", invalid(noJWT)
	}
	var claims struct {
		Issuer string `json:"iss"`
	}
	if json.Unmarshal(data, &claims) != nil {
		return "", invalid(noJWT)
	}
	return claims.Issuer, nil
}

// verify returns the claims of token and until when they may be believed, or
// why they are not.
func (i *issuer) verify(ctx context.Context, token string) (jwt.MapClaims, time.Time, *rejection) {
	if i.opaque != nil {
		return i.opaque.verify(ctx, token)
	}
	claims := jwt.MapClaims{}
	key := func(t *jwt.Token) (any, error) { return i.key(ctx, t) }
	if _, err := i.parser.ParseWithClaims(token, claims, key); err != nil {
		return nil, time.Time{}, reject(err, claims)
	}
	if _, err := claims.GetSubject(); err != nil {
		return nil, time.Time{}, invalid(subText)
	}
	return claims, expiry(claims, i.skew), nil
}

// expiry returns when claims, which were verified, expire; zero for never.
func expiry(claims jwt.MapClaims, skew time.Duration) time.Time {
	exp, err := claims.GetExpirationTime()
	if err != nil || exp == nil {
		return time.Time{}
	}
	return exp.Add(skew)
}

// key returns the keys that may verify t. Of the header only kid and alg are
// read: a token that brings its own key (jwk, jku, x5u) brings nothing.
func (i *issuer) key(ctx context.Context, t *jwt.Token) (any, error) {
	if _, ok := t.Header["crit"]; ok {
		// We understand no extension, so we must refuse all (RFC 7515
		// section 4.1.11).
		return nil, errCritical
	}
	if typ, _ := t.Header["typ"].(string); len(i.types) > 0 && !slices.Contains(i.types, mediaType(typ)) {
		return nil, errType
	}
	kid, ok := t.Header["kid"].(string)
	if _, there := t.Header["kid"]; there && !ok {
		return nil, errUnknownKey
	}
	found, err := i.keys.find(ctx, kid, t.Method.Alg())
	if err != nil {
		return nil, err
	}
	if len(found) == 1 {
		return found[0], nil
	}
	set := jwt.VerificationKeySet{}
	for _, k := range found {
		set.Keys = append(set.Keys, k)
	}
	return set, nil
}

// mediaType returns typ as types are compared: without case, and without the
// prefix that may be left out (RFC 7515 section 4.1.9).
func mediaType(typ string) string {
	return strings.TrimPrefix(strings.ToLower(typ), "application/")
}

const (
	noJWT   = "the token is not a JWT"
	subText = "the sub claim must be a string"
)

var (
	errCritical = errors.New("the token has a critical header that is not understood")
	errType     = errors.New("the token is of another type")
)

// rejections are told by the first that holds. The errors' own texts are not
// repeated: they may quote the token.
var rejections = []struct {
	is     error
	detail string
}{
	{errCritical, errCritical.Error()},
	{errType, errType.Error()},
	{errNoKeyID, errNoKeyID.Error()},
	{errUnknownKey, errUnknownKey.Error()},
	{jwt.ErrTokenMalformed, noJWT},
	{jwt.ErrTokenSignatureInvalid, "the signature or its algorithm is not accepted"},
	{jwt.ErrTokenUnverifiable, "the algorithm of the signature is not accepted"},
	{jwt.ErrTokenRequiredClaimMissing, "the token lacks a claim: exp, iss or aud"},
	{jwt.ErrInvalidType, "a claim has the wrong type"},
	{jwt.ErrTokenInvalidIssuer, "the token is from another issuer"},
	{jwt.ErrTokenInvalidAudience, "the token is for another audience"},
	{jwt.ErrTokenNotValidYet, "the token is not valid yet"},
}

// reject returns what is told of err.
func reject(err error, claims jwt.MapClaims) *rejection {
	var none *noKeysError
	if errors.As(err, &none) {
		return none.rejection()
	}
	for _, r := range rejections {
		if errors.Is(err, r.is) {
			return invalid(r.detail)
		}
	}
	if !errors.Is(err, jwt.ErrTokenExpired) {
		return invalid("the token is not valid")
	}
	why := &rejection{reason: exchange.TokenExpired, detail: "the token has expired"}
	if exp, err := claims.GetExpirationTime(); err == nil && exp != nil {
		why.detail = "the token expired " + time.Since(exp.Time).Truncate(time.Second).String() + " ago"
	}
	return why
}
