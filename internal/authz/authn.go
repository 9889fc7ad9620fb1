package authz

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"sidecar/internal/exchange"
)

// Authn is one authn policy: it finds out who sends a request. It is immutable
// and safe for concurrent use.
type Authn struct {
	name     string
	line     int
	shadow   bool // nobody is kept waiting for it
	optional bool // who shows no credential is let by
	accepted []credential

	issuers map[string]verifier // by what iss says
	opaque  verifier            // is asked about tokens of nobody in issuers; may be nil
	skew    time.Duration       // that a token may be late by
	tokens  *known
	heads   lastHead // of plain tokens
	apiKeys *apiKeys // nil: none are accepted

	names        map[string]string // our names to claims; see exchange.Principal
	forward      []forwarding      // in the order of the header names
	forwardToken bool
}

// forwarding is one claim that the upstream is told in a header field.
type forwarding struct{ header, claim string }

// NewAuthn returns the policy called name. Keys in files are read by read and
// parsed; what asks an issuer over the network comes from keeper, and is not
// started here. c must be valid. The error joins a *exchange.FieldError for
// each file that does not hold what it should; none repeats what a file holds.
func NewAuthn(
	name string, c AuthnConfig, read func(path string) ([]byte, error), keeper Keeper,
) (*Authn, error) {
	a := &Authn{
		name:         name,
		line:         c.Line,
		shadow:       c.Mode == exchange.ModeShadow,
		optional:     c.Optional,
		issuers:      make(map[string]verifier, len(c.Issuers)),
		skew:         c.ClockSkew,
		tokens:       newKnown(tokensWeight),
		names:        map[string]string{subjectName: "sub", rolesName: "roles"},
		forwardToken: c.ForwardToken,
	}
	maps.Copy(a.names, c.Claims)
	for _, header := range slices.Sorted(maps.Keys(c.ForwardClaims)) {
		a.forward = append(a.forward, forwarding{http.CanonicalHeaderKey(header), c.ForwardClaims[header]})
	}
	var problems []error
	for i, ic := range c.Issuers {
		v, field, err := ic.verifier(read, keeper, c.ClockSkew)
		switch {
		case err != nil:
			at := fmt.Sprintf("issuers[%d].%s", i, field)
			problems = append(problems, &exchange.FieldError{Field: at, Problem: err.Error()})
		case ic.Introspection != nil:
			a.opaque = v
		default:
			a.issuers[ic.Issuer] = v
		}
	}
	if c.APIKeys != nil {
		var err error
		if a.apiKeys, err = newAPIKeys(*c.APIKeys, read, a.forwards); err != nil {
			problems = append(problems, &exchange.FieldError{Field: "apiKeys.file", Problem: err.Error()})
		}
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	a.accepted = a.credentials(c)
	return a, nil
}

// Check puts the principal whom a credential of r proves on the record, and
// what the upstream is to see of it; or it returns a *exchange.Refusal. Without
// a principal nothing the client says of itself is passed on as ours: copies of
// the forwarded fields are taken away even if someone lets a refused request by.
func (a *Authn) Check(r *http.Request) error {
	record := exchange.From(r.Context())
	ctx := r.Context()
	if a.shadow {
		ctx = over // keys that are not there are asked for, and not waited for
	}
	v, why := a.prove(ctx, r)
	if v != nil {
		record.Identify(v.principal)
		record.Forward(v.forward...)
		if v.principal.By != exchange.ByToken { // there forward says all
			record.Forward(a.shown(r, v.principal.By)...)
		}
		return nil
	}
	for _, f := range a.forward {
		record.Forward(exchange.Field{Name: f.header})
	}
	if why == nil && a.optional {
		record.Forward(a.shown(r, "")...)
		return nil
	}
	if a.apiKeys != nil && !a.apiKeys.keep {
		record.Forward(exchange.Field{Name: a.apiKeys.header})
	}
	return a.refuse(why)
}

// over is a context that has ended.
var over = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// authenticate returns what came of the one token in the Authorization fields,
// or nothing if they show none.
func (a *Authn) authenticate(ctx context.Context, fields []string) (*verified, *rejection) {
	token, shown, why := bearer(fields)
	if !shown || why != nil {
		return nil, why
	}
	now := time.Now()
	if v := a.tokens.get(token, now); v != nil {
		return v, nil
	}
	v, why := a.verify(ctx, token)
	if why != nil {
		return nil, why
	}
	a.tokens.put(token, v, keptSize(token), now)
	return v, nil
}

// verify returns what came of token.
func (a *Authn) verify(ctx context.Context, token string) (*verified, *rejection) {
	t := shownToken{text: token, plain: a.heads.parse(token)}
	if t.plain == nil && !isToken68(token) { // a plain one is
		return nil, malformed(noBearer)
	}
	by, why := a.verifierOf(t)
	if why != nil {
		return nil, why
	}
	b, why := by.verify(ctx, t)
	if why != nil {
		return nil, why
	}
	a.heads.keep(t)
	p := newPrincipal(b.issuer, b.claims, a.names)
	v := &verified{principal: p, forward: a.forwards(p), until: b.end(a.skew), holds: b.holds}
	if a.apiKeys != nil {
		v.forward = append(v.forward, a.apiKeys.unproven())
	}
	return v, nil
}

// verifierOf returns who is to verify token: whose it says it is, and for all
// that says nothing, or a stranger's name, who knows opaque tokens. One that has
// a name here goes nowhere else, whatever comes of it; and one that has two goes
// nowhere.
func (a *Authn) verifierOf(t shownToken) (verifier, *rejection) {
	iss, err := t.issuer()
	if errors.Is(err, errTwoIssuers) {
		return nil, invalid(err.Error())
	}
	if v, ok := a.issuers[iss]; ok && err == nil {
		return v, nil
	}
	switch {
	case a.opaque != nil:
		return a.opaque, nil
	case err != nil:
		return nil, invalid(err.Error())
	}
	return nil, &rejection{
		reason: exchange.IssuerUnknown,
		detail: "the token's issuer is not trusted",
		note:   fmt.Sprintf("no issuer of the policy is %.128q", iss),
	}
}

// forwards returns what the upstream is to see of p, and of the token.
func (a *Authn) forwards(p *exchange.Principal) []exchange.Field {
	fields := make([]exchange.Field, 0, len(a.forward)+2) // for the credentials too
	for _, f := range a.forward {
		fields = append(fields, exchange.Field{Name: f.header, Value: headerValue(p, f.claim)})
	}
	if !a.forwardToken {
		fields = append(fields, exchange.Field{Name: "Authorization"})
	}
	return fields
}

// refuse returns the refusal that tells of why, nil for want of a credential,
// with a challenge for each credential that is accepted (RFC 9110 section
// 11.6.1). A client whose token could not be judged is told when to come again;
// a challenge would tell it that its token is no good.
func (a *Authn) refuse(why *rejection) *exchange.Refusal {
	if why == nil {
		why = a.missing()
	}
	header := http.Header{"Www-Authenticate": a.challenges(why)}
	if why.retryAfter > 0 {
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
