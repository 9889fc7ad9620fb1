package authz

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"

	"sidecar/internal/exchange"
)

// Authn is one authn policy: it finds out who sends a request. It is immutable
// and safe for concurrent use.
type Authn struct {
	name    string
	line    int
	shadow  bool               // nobody is kept waiting for it
	issuers map[string]*issuer // by what iss says

	tokens *tokens // that it has verified

	names        map[string]string // our names to claims; see exchange.Principal
	forward      []forwarding      // in the order of the header names
	forwardToken bool
}

// forwarding is one claim that the upstream is told in a header field.
type forwarding struct{ header, claim string }

// NewAuthn returns the policy called name. Keys in files are read by read and
// parsed; for those at a URL, keySet returns the KeySet, which lives longer
// than the policy and is not started here. c must be valid. The error joins a
// *exchange.FieldError for each file that does not hold what it should; none
// repeats what a file holds.
func NewAuthn(
	name string, c AuthnConfig, read func(path string) ([]byte, error), keySet func(KeySetConfig) *KeySet,
) (*Authn, error) {
	a := &Authn{
		name:         name,
		line:         c.Line,
		shadow:       c.Mode == exchange.ModeShadow,
		issuers:      make(map[string]*issuer, len(c.Issuers)),
		tokens:       newTokens(),
		names:        map[string]string{subjectName: "sub", rolesName: "roles"},
		forwardToken: c.ForwardToken,
	}
	maps.Copy(a.names, c.Claims)
	for _, header := range slices.Sorted(maps.Keys(c.ForwardClaims)) {
		a.forward = append(a.forward, forwarding{http.CanonicalHeaderKey(header), c.ForwardClaims[header]})
	}
	var problems []error
	for i, ic := range c.Issuers {
		if ic.JWKSURL != "" {
			a.issuers[ic.Issuer] = newIssuer(ic, keySet(ic.keySet()), c.ClockSkew)
			continue
		}
		field, ks, err := ic.keys(read)
		if err != nil {
			at := fmt.Sprintf("issuers[%d].%s", i, field)
			problems = append(problems, &exchange.FieldError{Field: at, Problem: err.Error()})
			continue
		}
		a.issuers[ic.Issuer] = newIssuer(ic, &ks, c.ClockSkew)
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return a, nil
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

// Check puts the principal whose token r carries on the record, and what the
// upstream is to see of it; or it returns a *exchange.Refusal. Then nothing
// the client says of itself is passed on as ours: copies of the forwarded
// fields are taken away even if someone lets the refused request by.
func (a *Authn) Check(r *http.Request) error {
	record := exchange.From(r.Context())
	ctx := r.Context()
	if a.shadow {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		cancel() // keys that are not there are asked for, and not waited for
	}
	v, err := a.authenticate(ctx, r.Header["Authorization"])
	if err != nil {
		for _, f := range a.forward {
			record.Forward(exchange.Field{Name: f.header})
		}
		return a.refuse(err)
	}
	record.Identify(v.principal)
	record.Forward(v.forward...)
	return nil
}

// authenticate returns what came of the one token in the Authorization fields.
func (a *Authn) authenticate(ctx context.Context, fields []string) (*verified, *rejection) {
	token, why := bearer(fields)
	if why != nil {
		return nil, why
	}
	d := digestOf(token)
	if v, ok := a.tokens.get(d); ok {
		return v, nil
	}
	v, why := a.verify(ctx, token)
	if why != nil {
		return nil, why
	}
	if v.keys != nil {
		a.tokens.put(d, v)
	}
	return v, nil
}

func (a *Authn) verify(ctx context.Context, token string) (*verified, *rejection) {
	if !isToken68(token) {
		return nil, malformed("the Authorization header must be Bearer and one token")
	}
	iss, why := issuerOf(token)
	if why != nil {
		return nil, why
	}
	issuer, ok := a.issuers[iss]
	if !ok {
		return nil, &rejection{
			reason: exchange.IssuerUnknown,
			detail: "the token's issuer is not trusted",
			note:   fmt.Sprintf("no issuer of the policy is %.128q", iss),
		}
	}
	by := issuer.keys.current() // before: keys that come meanwhile are no reason to believe it later
	claims, why := issuer.verify(ctx, token)
	if why != nil {
		return nil, why
	}
	p := newPrincipal(iss, claims, a.names)
	return &verified{
		size: len(token), issuer: issuer, keys: by, until: issuer.until(claims),
		principal: p, forward: a.forwards(p),
	}, nil
}

// forwards returns what the upstream is to see of p, and of the token.
func (a *Authn) forwards(p *exchange.Principal) []exchange.Field {
	var fields []exchange.Field
	for _, f := range a.forward {
		fields = append(fields, exchange.Field{Name: f.header, Value: headerValue(p, f.claim)})
	}
	if !a.forwardToken {
		fields = append(fields, exchange.Field{Name: "Authorization"})
	}
	return fields
}

// refuse returns the refusal that tells of why, with the challenge that RFC
// 6750 section 3 demands. A client whose token could not be judged is told
// when to come again; a challenge would tell it that its token is no good.
func (a *Authn) refuse(why *rejection) *exchange.Refusal {
	header := http.Header{"Www-Authenticate": {why.challenge()}}
	if why.reason == exchange.JWKSUnavailable {
		header = http.Header{"Retry-After": {strconv.Itoa(why.retryAfter)}}
	}
	return &exchange.Refusal{
		Kind:   exchange.Authn,
		Policy: a.name,
		Reason: why.reason,
		Detail: why.detail,
		Note:   why.note,
		Line:   a.line,
		Header: header,
	}
}
