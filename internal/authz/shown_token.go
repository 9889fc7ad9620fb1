package authz

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"

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

// strictly decodes what golang-jwt does with WithStrictDecoding. It takes no notice
// of line ends.
var strictly = base64.RawURLEncoding.Strict()

// decoded are places to decode the halves of tokens in.
var decoded = sync.Pool{New: func() any { return new([maxToken]byte) }}

// head is what stands before the first dot of a token.
type head struct {
	text   string
	method jwt.SigningMethod
	header map[string]any // is never changed
}

// lastHead is that of the token that was verified last: nearly all tokens of an
// issuer have the same one, so that it need not be read again.
type lastHead struct{ atomic.Pointer[head] }

// parse is parsePlain.
func (l *lastHead) parse(token string) *jwt.Token {
	if h := l.Load(); h != nil && strings.HasPrefix(token, h.text) && strings.HasPrefix(token[len(h.text):], ".") {
		return h.parse(token)
	}
	return parsePlain(token)
}

// keep has l know the head of a token that was verified: strangers change nothing.
func (l *lastHead) keep(t shownToken) {
	if t.plain == nil {
		return
	}
	text, _, _ := strings.Cut(t.text, ".")
	if h := l.Load(); h == nil || h.text != text {
		l.Store(&head{text: strings.Clone(text), method: t.plain.Method, header: t.plain.Header})
	}
}

// parsePlain returns token as golang-jwt's parser returns it when it decodes
// strictly and leaves numbers as they are, but for the fields Raw and Valid.
// It returns nil for what is no JWT, and for a JWT that is not written as plainly
// as most of them are: those are the library's to judge. What it returns is not
// to be changed.
func parsePlain(token string) *jwt.Token {
	text, _, _ := strings.Cut(token, ".")
	header, ok := readSegment(text)
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
	h := head{text, method, header}
	return h.parse(token)
}

// parse returns what parsePlain does of a token that begins with h.
func (h *head) parse(token string) *jwt.Token {
	if len(token) > maxToken || len(token) == len(h.text) || strings.IndexByte(token, '\r') >= 0 || strings.IndexByte(token, '\n') >= 0 {
		return nil
	}
	payload, signature, ok := strings.Cut(token[len(h.text)+1:], ".")
	if !ok {
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
	return &jwt.Token{Method: h.method, Header: h.header, Claims: jwt.MapClaims(claims), Signature: sum}
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
	if len(segment) > maxToken {
		return nil, false
	}
	place := decoded.Get().(*[maxToken]byte)
	defer decoded.Put(place)
	n, err := strictly.Decode(place[:], []byte(segment))
	text := string(place[:n])
	clear(place[:n])
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
