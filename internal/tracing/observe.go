package tracing

import (
	"context"
	"net/http"
	"strings"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"sidecar/internal/exchange"
)

// Begin decides whether r is traced, and if so begins its span.
func (t *Tracing) Begin(ctx context.Context, r *exchange.Record) context.Context {
	from, known := t.callerOf(r.RequestHeader)
	followed := known && r.Trusted
	if !r.Trusted {
		t.drop(r)
	}
	id := from.trace
	if !followed {
		id = newTraceID()
	}
	if !t.sampler.Load().samples(id, from, followed) {
		return ctx
	}
	r.TraceID = id.String()
	return t.begin(ctx, r, id, from, known)
}

func (t *Tracing) callerOf(h http.Header) (caller, bool) {
	if !t.env.context {
		return caller{}, false
	}
	return callerOf(h)
}

// drop keeps from the upstream what an untrusted peer says of its trace.
func (t *Tracing) drop(r *exchange.Record) {
	for i, field := range t.foreign {
		if r.RequestHeader[field.Name] != nil {
			r.Forward(t.foreign[i : i+1]...) // made once: one that is alone allocates nothing
		}
	}
}

func (t *Tracing) begin(ctx context.Context, r *exchange.Record, id trace.TraceID, from caller, known bool) context.Context {
	options := []trace.SpanStartOption{
		trace.WithSpanKind(trace.SpanKindServer),
		trace.WithTimestamp(r.Start),
		trace.WithAttributes(requested(r)...),
	}
	switch state, err := stateOf(r.RequestHeader); {
	case known && r.Trusted:
		if err != nil {
			r.Forward(exchange.Field{Name: tracestateHeader}) // not to be passed on (section 3.3.1 of the standard)
		}
		ctx = trace.ContextWithRemoteSpanContext(ctx, from.context(state))
	case known:
		options = append(options, trace.WithLinks(trace.Link{SpanContext: from.context(trace.TraceState{})}))
		ctx = withTraceID(ctx, id)
	default:
		if t.env.context {
			r.Forward(exchange.Field{Name: tracestateHeader}) // of a trace that is not named
		}
		ctx = withTraceID(ctx, id)
	}
	ctx, span := t.tracer.Start(ctx, name(r), options...)
	if t.env.context {
		r.TraceParent = traceparent(span.SpanContext())
	}
	return ctx
}

func stateOf(h http.Header) (trace.TraceState, error) {
	return trace.ParseTraceState(strings.Join(h[tracestateHeader], ","))
}

// Attempt begins the span of a, if r is traced, and has a tell the upstream of
// it.
func (t *Tracing) Attempt(ctx context.Context, r *exchange.Record, a *exchange.Attempt) context.Context {
	if r.TraceID == "" {
		return ctx
	}
	ctx, span := t.tracer.Start(ctx, name(r),
		trace.WithSpanKind(trace.SpanKindClient),
		trace.WithTimestamp(a.Start),
		trace.WithAttributes(calling(r, a)...))
	if t.env.context {
		a.Forward = append(a.Forward, exchange.Field{Name: traceparentHeader, Value: traceparent(span.SpanContext())})
	}
	return ctx
}

// Attempted ends the span of a, if r is traced.
func (t *Tracing) Attempted(ctx context.Context, r *exchange.Record, a *exchange.Attempt) {
	if r.TraceID == "" {
		return
	}
	span := trace.SpanFromContext(ctx)
	span.SetAttributes(called(a, r.Path)...)
	if broke(a) {
		span.SetStatus(codes.Error, "")
	}
	span.End(trace.WithTimestamp(a.Start.Add(a.Took)))
}

// End ends the span of r, if it is traced.
func (t *Tracing) End(ctx context.Context, r *exchange.Record) {
	if r.TraceID == "" {
		return
	}
	span := trace.SpanFromContext(ctx)
	span.SetName(name(r))
	span.SetAttributes(answered(r)...)
	for _, d := range r.Notes() {
		if d.Notable() {
			span.AddEvent("sidecar.policy.decision", trace.WithTimestamp(d.At), trace.WithAttributes(decided(d)...))
		}
	}
	if failed(r) {
		span.SetStatus(codes.Error, "")
	}
	span.End(trace.WithTimestamp(r.Start.Add(r.Took)))
}

// broke reports whether a is a failure as its caller sees it: one that we gave
// up, since another had answered, is none.
func broke(a *exchange.Attempt) bool {
	if a.Failure != nil {
		return a.Failure.Kind != exchange.FailedCancelled
	}
	return a.Status >= 400
}

// failed reports whether r is a failure of the service or of ours: 5xx, or an
// answer that broke off for such a reason. What a client did wrong is none.
func failed(r *exchange.Record) bool {
	if r.Status >= 400 || r.Reason == "" {
		return r.Status >= 500
	}
	return !r.Reason.ClientFault() && r.Reason.Answer().Status >= 500
}
