package proxy

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"

	"sidecar/internal/exchange"
	"sidecar/internal/faults"
)

// pass asks each gate in turn and notes what it says. It returns the first
// refusal that counts.
func pass(gates []gate, r *http.Request) error {
	rec := exchange.From(r.Context())
	for i, g := range gates {
		err := g.check(r)
		if g.shadow && noteShadow(rec, err) {
			continue
		}
		if err != nil {
			for _, later := range gates[i+1:] {
				if later.announce != nil {
					later.announce(rec)
				}
			}
			return err
		}
		if g.passed != nil {
			rec.Pass(g.passed)
		}
	}
	return nil
}

// noteShadow notes what a policy in shadow would have refused, if anything.
func noteShadow(rec *exchange.Record, err error) bool {
	var refusal *exchange.Refusal
	if errors.As(err, &refusal) {
		rec.Note(refusal.Shadowed())
	}
	return err != nil
}

// answer tells the client why it gets no answer from the upstream. It is the
// only place that turns a refusal into a response.
func answer(w http.ResponseWriter, r *http.Request, err error) {
	rec := exchange.From(r.Context())
	refusal := toRefusal(r, err)
	rec.Note(refusal.Decision())
	rec.Because(refusal.Reason)
	if refusal.Reason == exchange.ClientClosed {
		panic(http.ErrAbortHandler) // nobody is there to answer; end the connection
	}
	resp := refusal.Response(r, rec.ID)
	maps.Copy(w.Header(), resp.Header)
	if name := faultBehind(rec); name != "" {
		w.Header().Set(faults.Header, name) // a connection that was reset could not carry it
	}
	if rec.ClientFault() != nil && r.ProtoMajor == 1 {
		w.Header().Set("Connection", "close") // what is left of its body is not worth reading
	}
	w.WriteHeader(resp.StatusCode)
	_, _ = io.Copy(w, resp.Body) // a client that has left is told of by its connection
}

// toRefusal says in a refusal what ended an exchange. The client's own fault
// goes before all: what follows from it looks like anybody's.
func toRefusal(r *http.Request, err error) *exchange.Refusal {
	rec := exchange.From(r.Context())
	cause := context.Cause(r.Context()) // of the client's connection
	if cause != nil {
		crossingOf(r).body.settle() // it may know more than that the client is gone
	}
	if fault := rec.ClientFault(); fault != nil {
		return fault
	}
	var refusal *exchange.Refusal
	if errors.As(err, &refusal) || errors.As(cause, &refusal) {
		return refusal
	}
	if cause != nil {
		return &exchange.Refusal{Kind: exchange.ByClient, Reason: exchange.ClientClosed, Note: cause.Error()}
	}
	var failure *exchange.Failure
	if errors.As(err, &failure) {
		return &exchange.Refusal{
			Kind: exchange.ByUpstream, Policy: rec.Asked(), Reason: failure.Reason(), Note: failure.Err.Error(),
			Proxy: failure.Proxy,
		}
	}
	return &exchange.Refusal{Kind: exchange.ByProxy, Reason: exchange.InternalError, Note: err.Error()}
}
