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
		a.issuers[ic.Issuer] = newIssuer(ic, ks, c.ClockSkew)
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
	p, err := a.authenticate(ctx, r.Header["Authorization"])
	for _, f := range a.forward {
		value := ""
		if err == nil {
			value = headerValue(p, f.claim)
		}
		record.Forward(f.header, value)
	}
	if err != nil {
		return a.refuse(err)
	}
	record.Identify(p)
	if !a.forwardToken {
		record.Forward("Authorization", "")
	}
	return nil
}

func (a *Authn) authenticate(ctx context.Context, fields []string) (*exchange.Principal, *rejection) {
	token, err := bearer(fields)
	if err != nil {
		return nil, err
	}
	iss, err := issuerOf(token)
	if err != nil {
		return nil, err
	}
	issuer, ok := a.issuers[iss]
	if !ok {
		return nil, &rejection{
			reason: exchange.IssuerUnknown,
			detail: "the token's issuer is not trusted",
			note:   fmt.Sprintf("no issuer of the policy is %.128q", iss),
		}
	}
	claims, err := issuer.verify(ctx, token)
	if err != nil {
		return nil, err
	}
	return newPrincipal(iss, claims, a.names), nil
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
