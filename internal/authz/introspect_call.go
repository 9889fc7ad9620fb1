package authz

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"sidecar/internal/exchange"
)

// maxIntrospection bounds one answer.
const maxIntrospection exchange.Size = 64 << 10

// introspect asks the issuer about token, when there is a free slot.
func (n *Introspector) introspect(token string) (*opinion, error) {
	c := n.config.Introspection
	ctx, cancel := context.WithTimeout(context.Background(), c.Timeout)
	defer cancel()
	deadline, _ := ctx.Deadline()
	busy := fmt.Errorf("no call was free within %v: %d are under way", c.Timeout, c.MaxConcurrent)
	select {
	case n.slots <- struct{}{}:
		defer func() { <-n.slots }()
	case <-ctx.Done():
		return nil, busy
	}
	asked := time.Now() // what is revoked while the answer travels is not believed for longer
	if !asked.Before(deadline) {
		return nil, busy // a slot came free in the moment when nobody waited any more
	}
	data, err := n.post(ctx, token)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, fmt.Errorf("no answer within %v", c.Timeout)
	}
	if err != nil {
		return nil, errors.New(exchange.Unquoted(err)) // what it quotes may be the token
	}
	claims, err := parseIntrospection(data)
	if err != nil {
		return nil, err
	}
	if claims == nil {
		return &opinion{until: asked.Add(inactiveFor)}, nil
	}
	return &opinion{claims: claims, size: len(data), until: asked.Add(c.CacheFor)}, nil
}

// post returns the body of a good answer (RFC 7662 section 2.1).
func (n *Introspector) post(ctx context.Context, token string) ([]byte, error) {
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, n.config.Introspection.URL, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, errors.New("the URL does not parse")
	}
	req.Header = http.Header{
		"Authorization": {n.config.basic},
		"Content-Type":  {"application/x-www-form-urlencoded"},
		"Accept":        {"application/json"},
		// Not sent: it lets net/http repeat a call on a connection that the
		// issuer had closed.
		"X-Idempotency-Key": nil,
	}
	return call(n.transport, req, maxIntrospection)
}

// parseIntrospection returns the claims of an active token, and nil for one
// that is not. Whatever does not say which of both is an error. A member that
// is null says nothing.
func parseIntrospection(data []byte) (jwt.MapClaims, error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber() // as for JWTs
	var claims jwt.MapClaims
	if err := decoder.Decode(&claims); err != nil || claims == nil {
		return nil, errors.New("the answer holds no JSON object")
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, errors.New("the answer holds more than one JSON object")
	}
	active, ok := claims["active"].(bool)
	if !ok {
		return nil, errors.New("the answer does not say whether the token is active")
	}
	if !active {
		return nil, nil
	}
	for name, value := range claims {
		if value == nil {
			delete(claims, name)
		}
	}
	return claims, nil
}
