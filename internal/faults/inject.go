package faults

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"sidecar/internal/exchange"
)

// inject breaks the attempt r as hits say, of which only the last may abort.
func inject(hits []hit, r *http.Request, next http.RoundTripper) (*http.Response, error) {
	ctx := r.Context()
	record, attempt := exchange.From(ctx), exchange.AttemptOf(r)
	for i := range hits {
		if err := hits[i].wait(ctx, record, attempt); err != nil {
			exchange.CloseBody(r)
			return nil, err
		}
	}
	last := &hits[len(hits)-1]
	var resp *http.Response
	var err error
	if last.aborts() && !last.run.isOver() { // it may be by now, after a delay
		attempt.Fault, attempt.Spoiled = last.name, append(attempt.Spoiled, last.name)
		last.act(record, exchange.FaultAbort, last.abort.String())
		resp, err = last.answer(r, record.ID)
		exchange.CloseBody(r)
	} else {
		resp, err = next.RoundTrip(r)
	}
	if err != nil {
		return nil, err
	}
	for i := range hits {
		hits[i].mark(resp, r)
	}
	return resp, nil
}

// wait delays the attempt a as h says. It fails when the call was ended before.
func (h *hit) wait(ctx context.Context, rec *exchange.Record, a *exchange.Attempt) error {
	if h.delay > 0 && !h.run.isOver() {
		a.Fault = cmp.Or(a.Fault, h.name)
		h.act(rec, exchange.FaultDelay, h.delay.String())
	}
	return wait(ctx, h.delay, h.run.over)
}

// mark gives the body of resp, the answer to r, to h, and says on resp who has
// broken it.
func (h *hit) mark(resp *http.Response, r *http.Request) {
	breaks := h.body != (Body{}) && hasBody(resp, r) && !h.run.isOver()
	if breaks {
		a := exchange.AttemptOf(r)
		a.Fault = cmp.Or(a.Fault, h.name)
		resp.Body = newBrokenBody(r.Context(), h, resp, a)
	}
	if breaks || h.acted {
		resp.Header.Add(Header, h.name)
	}
}

// act notes what h does to an attempt, which counts once.
func (h *hit) act(rec *exchange.Record, reason exchange.Reason, detail string) {
	rec.Note(h.decision(reason, detail))
	if !h.acted {
		h.acted = true
		h.run.count()
	}
}

func (h *hit) decision(reason exchange.Reason, detail string) exchange.Decision {
	return exchange.Decision{
		Kind: exchange.Fault, Policy: h.name, Outcome: exchange.Act, Reason: reason, Detail: detail, Line: h.line,
	}
}

// noteShadow notes what h would do to the attempt r.
func (h *hit) noteShadow(r *http.Request) {
	note := func(reason exchange.Reason, detail string) {
		d := h.decision(reason, detail)
		d.Outcome = exchange.Shadow
		exchange.From(r.Context()).Note(d)
	}
	if h.delay > 0 {
		note(exchange.FaultDelay, h.delay.String())
	}
	if h.aborts() {
		note(exchange.FaultAbort, h.abort.String())
	}
	if h.body != (Body{}) {
		note(exchange.FaultBody, h.body.String())
	}
}

// wait returns when d is over or the fault is, or says why the call was ended
// before.
func wait(ctx context.Context, d time.Duration, over <-chan struct{}) error {
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-over:
		case <-ctx.Done():
			return exchange.Ended(ctx)
		}
		return nil
	}
	if ctx.Err() == nil {
		return nil
	}
	return exchange.Ended(ctx)
}

// answer returns what the upstream's caller gets in place of a call.
func (h *hit) answer(r *http.Request, requestID string) (*http.Response, error) {
	switch {
	case h.abort.Connection == blackhole:
		select {
		case <-r.Context().Done():
			return nil, exchange.Ended(r.Context())
		case <-h.run.over:
		}
		return nil, &exchange.Failure{
			Kind: exchange.FailedReset, Err: fmt.Errorf("fault %s: the black hole is gone", h.name),
		}
	case h.abort.Connection != "":
		return nil, &exchange.Failure{
			Kind: exchange.FailedReset, Err: fmt.Errorf("fault %s: connection reset", h.name),
		}
	case h.abort.GRPC != "":
		return exchange.GRPCResponse(r, grpcCodes[h.abort.GRPC], detail, nil), nil
	case exchange.IsGRPC(r):
		// A broken proxy knows nothing of gRPC.
		plain := exchange.NewResponse(r, h.abort.Status, "text/plain; charset=utf-8", []byte(detail+"\n"), nil)
		return bodiless(plain), nil
	}
	refusal := exchange.Refusal{
		Kind: exchange.Fault, Policy: h.name, Reason: exchange.FaultInjected, Detail: detail, Line: h.line,
	}
	answer := refusal.Reason.Answer()
	answer.Status = h.abort.Status
	return bodiless(refusal.ResponseAs(answer, r, requestID)), nil
}

// bodiless takes the body from a response whose status allows none (RFC 9110
// section 6.4.1).
func bodiless(resp *http.Response) *http.Response {
	switch resp.StatusCode {
	case http.StatusNoContent, http.StatusResetContent, http.StatusNotModified:
		resp.Body, resp.ContentLength = http.NoBody, 0
		resp.Header.Del("Content-Length")
		resp.Header.Del("Content-Type")
	}
	return resp
}

const detail = "a fault answers; the upstream was not called"

// String returns a in one word.
func (a Abort) String() string {
	switch {
	case a.Connection != "":
		return "connection " + a.Connection
	case a.GRPC != "":
		return a.GRPC
	case a.Status != 0:
		return strconv.Itoa(a.Status)
	}
	return "none"
}
