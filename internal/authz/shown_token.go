package authz

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"sync"

	"github.com/golang-jwt/jwt/v5"
)

// shownToken is a token that nobody has verified yet.
type shownToken struct {
	text string
	// plain is the token as golang-jwt's parser would read it; nil for one that
	// is left to that parser.
	plain *jwt.Token
}

// issuer returns what the token says in iss, or errNoJWT or errTwoIssuers. It
// proves nothing: it only chooses who verifies the token.
func (t shownToken) issuer() (string, error) {
	if t.plain == nil {
		return issuerOf(t.text)
	}
	switch iss := t.plain.Claims.(jwt.MapClaims)["iss"].(type) {
	case string:
		return iss, nil
	case nil: // absent, or null
		return "", nil
	}
	return "", errNoJWT
}

// strictly decodes what golang-jwt does with WithStrictDecoding.
var strictly = base64.RawURLEncoding.Strict()

// decoded are places to decode the halves of tokens in.
var decoded = sync.Pool{New: func() any { return new([2 * maxToken]byte) }}

// parsePlain returns token as golang-jwt's parser returns it when it decodes
// strictly and leaves numbers as they are, but for the fields Raw and Valid.
// It returns nil for what is no JWT, and for a JWT that is not written as plainly
// as most of them are: those are the library's to judge.
func parsePlain(token string) *jwt.Token {
	head, rest, _ := strings.Cut(token, ".")
	payload, signature, ok := strings.Cut(rest, ".")
	if !ok || len(token) > maxToken {
		return nil
	}
	header, ok := readSegment(head)
	if !ok {
		return nil
	}
	name, ok := plainHeader(header)
	if !ok {
		return nil
	}
	method := jwt.GetSigningMethod(name)
	if method == nil {
		return nil
	}
	claims, ok := readSegment(payload)
	if !ok {
		return nil
	}
	sum, err := strictly.DecodeString(signature)
	if err != nil {
		return nil
	}
	return &jwt.Token{Method: method, Header: header, Claims: jwt.MapClaims(claims), Signature: sum}
}

// plainHeader returns the alg of a header whose members all are strings: the
// library reads numbers in another way there than in the claims.
func plainHeader(header map[string]any) (alg string, ok bool) {
	for _, v := range header {
		if _, ok := v.(string); !ok {
			return "", false
		}
	}
	alg, ok = header["alg"].(string)
	return alg, ok
}

// readSegment returns the object in one segment of a token.
func readSegment(segment string) (map[string]any, bool) {
	place := decoded.Get().(*[2 * maxToken]byte)
	defer decoded.Put(place)
	from := append(place[:0], segment...)
	to, err := strictly.AppendDecode(place[maxToken:maxToken], from)
	text := string(to)
	clear(from)
	clear(to)
	if err != nil {
		return nil, false
	}
	return readPlain(text)
}

var (
	errNoJWT      = errors.New("the token is not a JWT")
	errTwoIssuers = errors.New("the token has more than one iss claim")
)

// issuerOf returns what a token says in iss that is not plain. It is read by
// hand, as exactly as whoever verifies it reads it: a struct would take ISS for
// iss, and the last one for all.
func issuerOf(token string) (string, error) {
	_, rest, _ := strings.Cut(token, ".")
	payload, _, ok := strings.Cut(rest, ".")
	if !ok {
		return "", errNoJWT
	}
	data, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		return "", errNoJWT
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	if start, err := decoder.Token(); err != nil || start != json.Delim('{') {
		return "", errNoJWT
	}
	var iss string
	var other json.RawMessage
	seen := false
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return "", errNoJWT
		}
		into := any(&other)
		if name == "iss" {
			if seen {
				return "", errTwoIssuers
			}
			into, seen = &iss, true
		}
		if decoder.Decode(into) != nil {
			return "", errNoJWT
		}
	}
	if _, err := decoder.Token(); err != nil { // the end of the object
		return "", errNoJWT
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return "", errNoJWT
	}
	return iss, nil
}
