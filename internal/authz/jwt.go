package authz

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// jwtIssuer verifies the tokens of one issuer with its keys and its algorithms,
// and no others (RFC 8725 sections 3.1 and 3.8).
type jwtIssuer struct {
	name       string
	keys       finder
	algorithms []string
	types      []string // of tokens, in lower case; empty: any
	parser     *jwt.Parser
	validator  *jwt.Validator // the parser's, for claims that it has not parsed
}

// finder knows which keys may verify a token with the header's kid and alg.
type finder interface {
	// find may wait for the keys, until ctx ends.
	find(ctx context.Context, kid, alg string) ([]*key, error)
	// current returns all keys that are believed at now; nil if there are none.
	current(now time.Time) *keys
}

func newJWTIssuer(c IssuerConfig, ks finder, rules []jwt.ParserOption) *jwtIssuer {
	rules = append(rules,
		jwt.WithValidMethods(c.algorithms()),
		jwt.WithIssuer(c.Issuer),
		jwt.WithExpirationRequired(),
		jwt.WithStrictDecoding(),
		// A number keeps its digits: an id of 17 figures would not survive
		// as a float64.
		jwt.WithJSONNumber(),
	)
	i := &jwtIssuer{
		name: c.Issuer, keys: ks, algorithms: c.algorithms(),
		parser: jwt.NewParser(rules...), validator: jwt.NewValidator(rules...),
	}
	for _, t := range c.Types {
		i.types = append(i.types, mediaType(t))
	}
	return i
}

// verify has what it returns hold as long as the keys are the same.
func (i *jwtIssuer) verify(ctx context.Context, t shownToken) (believed, *rejection) {
	by := i.keys.current(time.Now()) // before: keys that come meanwhile are no reason to believe it later
	claims, err := i.judge(ctx, t)
	if err != nil {
		return believed{}, reject(err, claims)
	}
	if _, err := claims.GetSubject(); err != nil {
		return believed{}, invalid(subText)
	}
	return believed{
		issuer: i.name, claims: claims,
		holds: func(now time.Time) bool { return by != nil && i.keys.current(now) == by },
	}, nil
}

// judge returns the claims of t, or why they are not believed. A plain token
// takes the steps of the parser's ParseWithClaims, in their order, without its
// parsing: the key looks at the signature, and the library's validator at the
// claims.
func (i *jwtIssuer) judge(ctx context.Context, t shownToken) (jwt.MapClaims, error) {
	if t.plain == nil {
		claims := jwt.MapClaims{}
		_, err := i.parser.ParseWithClaims(t.text, claims, func(t *jwt.Token) (any, error) { return i.key(ctx, t) })
		return claims, err
	}
	claims := t.plain.Claims.(jwt.MapClaims)
	if !slices.Contains(i.algorithms, t.plain.Method.Alg()) {
		return claims, jwt.ErrTokenSignatureInvalid
	}
	found, err := i.find(ctx, t.plain)
	if err != nil {
		return claims, err
	}
	signed := t.text[:strings.LastIndexByte(t.text, '.')]
	for _, k := range found {
		if err = k.verify(t.plain.Method, signed, t.plain.Signature); err == nil {
			return claims, i.validator.Validate(claims)
		}
	}
	return claims, jwt.ErrTokenSignatureInvalid
}

// key returns the keys that may verify t, as the parser wants them.
func (i *jwtIssuer) key(ctx context.Context, t *jwt.Token) (any, error) {
	found, err := i.find(ctx, t)
	if err != nil {
		return nil, err
	}
	set := jwt.VerificationKeySet{}
	for _, k := range found {
		set.Keys = append(set.Keys, k.material)
	}
	return set, nil
}

// find returns the keys that may verify t. Of the header only kid and alg are
// read: a token that brings its own key (jwk, jku, x5u) brings nothing.
func (i *jwtIssuer) find(ctx context.Context, t *jwt.Token) ([]*key, error) {
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
	return i.keys.find(ctx, kid, t.Method.Alg())
}

// mediaType returns typ as types are compared: without case, and without the
// prefix that may be left out (RFC 7515 section 4.1.9).
func mediaType(typ string) string {
	return strings.TrimPrefix(strings.ToLower(typ), "application/")
}

const subText = "the sub claim must be a string"

var (
	errCritical = errors.New("the token has a critical header that is not understood")
	errType     = errors.New("the token is of another type")
)
