package faults

import (
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
	attempt.Fault = hits[0].name
	var delay time.Duration
	for _, h := range hits {
		if h.delay > 0 {
			delay += h.delay
			record.Note(h.decision(exchange.FaultDelay, h.delay.String()))
		}
	}
	if err := wait(ctx, delay); err != nil {
		exchange.CloseBody(r)
		return nil, err
	}
	last := hits[len(hits)-1]
	var resp *http.Response
	var err error
	if last.aborts() {
		attempt.Fault = last.name
		record.Note(last.decision(exchange.FaultAbort, last.abort.String()))
		exchange.CloseBody(r)
		resp, err = last.answer(r, record.ID)
	} else {
		resp, err = next.RoundTrip(r)
	}
	if err != nil {
		return nil, err
	}
	for _, h := range hits {
		resp.Header.Add(Header, h.name)
	}
	return resp, nil
}

func (h hit) decision(reason exchange.Reason, detail string) exchange.Decision {
	return exchange.Decision{
		Kind: exchange.Fault, Policy: h.name, Outcome: exchange.Act, Reason: reason, Detail: detail, Line: h.line,
	}
}

// noteShadow notes what h would do to the attempt r.
func (h hit) noteShadow(r *http.Request) {
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
}

// wait returns when d is over, or says why the call was ended before.
func wait(ctx context.Context, d time.Duration) error {
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			return nil
		case <-ctx.Done():
		}
	}
	if ctx.Err() == nil {
		return nil
	}
	return exchange.Ended(ctx)
}

// answer returns what the upstream's caller gets in place of a call.
func (h hit) answer(r *http.Request, requestID string) (*http.Response, error) {
	switch {
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
