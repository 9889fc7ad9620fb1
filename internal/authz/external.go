package authz

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"sidecar/internal/exchange"
)

// What one question may take.
const (
	externalConns = 64       // to the decision point, at once; more wait
	maxAnswerBody = 64 << 10 // bytes; the rest is not read

	// usualVerdict is what one answer may take and count as one, in bytes.
	usualVerdict = 1 << 10

	// leastConnect is how long a connection may take to begin, or longer if
	// the question may. It does not end with the question that began it, and
	// until it does it holds one of externalConns.
	leastConnect = time.Second
)

// External is a decision point: the connections to it, and what it said. It is
// state that survives a reload, and safe for concurrent use.
type External struct {
	config    ExternalConfig
	forward   []string // canonical names
	transport *http.Transport
	kept      *remembered[*verdict] // nil: nothing is
}

// NewExternal returns the decision point that c describes. c must be valid.
// Nothing is connected before the first question.
func NewExternal(c ExternalConfig) *External {
	e := &External{config: c, transport: newTransport(max(c.Timeout, leastConnect), externalConns, externalConns)}
	for _, name := range c.ForwardHeaders {
		e.forward = append(e.forward, http.CanonicalHeaderKey(name))
	}
	if c.Cache != nil {
		e.kept = newRemembered[*verdict](c.Cache.MaxEntries)
	}
	return e
}

// Close lets go of connections that nobody uses. Questions that are under way
// end by themselves.
func (e *External) Close() { e.transport.CloseIdleConnections() }

// consult has the decision point say whether r may pass.
func (a *Authz) consult(r *http.Request, rec *exchange.Record) error {
	e := a.external
	said, err := e.answer(r, rec)
	switch {
	case err == nil:
	case r.Context().Err() != nil:
		return r.Context().Err() // nobody waits for the answer
	case e.config.OnFailure == Allow:
		a.pass(rec, nil)
		rec.Note(exchange.Decision{
			Kind: exchange.Authz, Policy: a.name, Outcome: exchange.Broken, Reason: exchange.AuthzUnavailable,
			Detail: err.Error(), Line: a.line,
		})
		return nil
	default:
		return a.unavailable(err)
	}
	if said.allows() {
		a.pass(rec, said.forward)
		rec.Pass(a.passed)
		return nil
	}
	return &exchange.Refusal{
		Kind: exchange.Authz, Policy: a.name, Reason: exchange.ExternalDenied, Line: a.line,
		Note:   fmt.Sprintf("the decision point answers %d", said.status),
		Header: said.header,
		Ready:  &exchange.Ready{Status: said.status, ContentType: said.content, Body: said.body},
	}
}

// pass tells the upstream what the decision point said of the request. Of what
// it did not say, the upstream sees nothing. In shadow nothing is told.
func (a *Authz) pass(rec *exchange.Record, fields []exchange.Field) {
	if a.shadow || len(a.external.config.ToUpstream) == 0 {
		return
	}
	if fields == nil {
		fields = toUpstream(nil, a.external.config.ToUpstream)
	}
	rec.Forward(fields...)
}

func (a *Authz) unavailable(err error) *exchange.Refusal {
	return &exchange.Refusal{
		Kind: exchange.Authz, Policy: a.name, Reason: exchange.AuthzUnavailable, Line: a.line,
		Note: err.Error(), Header: http.Header{"Retry-After": {"1"}},
	}
}

// answer returns what is remembered of the like of r, or asks.
func (e *External) answer(r *http.Request, rec *exchange.Record) (*verdict, error) {
	h := e.header(r, rec)
	if e.kept == nil {
		return e.once(r.Context(), h)
	}
	key := keyOf(h)
	if said, ok := e.kept.get(key); ok {
		return said, nil
	}
	said, err := e.once(r.Context(), h)
	if err == nil && said.keep {
		e.remember(key, said)
	}
	return said, err
}

func (e *External) remember(key digest, said *verdict) {
	e.kept.put(key, said, 1+said.size()/usualVerdict, time.Now().Add(e.config.Cache.For))
}

// once asks. The request goes straight to the transport, which follows no
// redirect, and whose errors do not repeat the URL.
func (e *External) once(ctx context.Context, h http.Header) (*verdict, error) {
	ctx, cancel := context.WithTimeout(ctx, e.config.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, e.config.URL, nil)
	if err != nil {
		return nil, errors.New("the URL does not parse")
	}
	req.Header = h
	resp, err := e.transport.RoundTrip(req)
	if err != nil {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return nil, fmt.Errorf("no answer within %v", e.config.Timeout)
		}
		return nil, errors.New(exchange.Unquoted(err))
	}
	defer resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode >= 500 {
		return nil, fmt.Errorf("the answer is %d, must be 200 to 499", resp.StatusCode)
	}
	return e.read(resp), nil
}
