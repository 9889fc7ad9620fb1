package tracing

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"sidecar/internal/exchange"
)

func TestARequestIsASpanAndEachAttemptOneBelowIt(t *testing.T) {
	tr, spans := traced(t, plain)
	r := record(true, "Traceparent", on, "Tracestate", "vendor=1", "User-Agent", "curl/8")
	told := cross(tr, r, 503, 0, 200)
	got := spans.GetSpans()
	if len(got) != 4 {
		t.Fatalf("%d spans, want one for the request and one for each of 3 attempts", len(got))
	}
	server := got[3]
	if server.Name != "GET orders" || server.SpanKind != trace.SpanKindServer || server.Status.Code != codes.Unset {
		t.Errorf("the request's span is %s %v %v, want GET orders, server, no error", server.Name, server.SpanKind, server.Status)
	}
	if server.Parent.SpanID().String() != spanID || server.SpanContext.TraceID().String() != traceID || r.TraceID != traceID {
		t.Errorf("the request's parent is %v in %v, want the caller's span", server.Parent.SpanID(), r.TraceID)
	}
	if !server.StartTime.Equal(r.Start) || server.EndTime.Sub(server.StartTime) != r.Took {
		t.Errorf("the request's span lasts from %v to %v", server.StartTime, server.EndTime)
	}
	for i, want := range []struct {
		resend int64
		failed bool
		err    any
	}{{0, true, "503"}, {1, true, "connect-failure"}, {2, false, nil}} {
		span := got[i]
		as := values(span.Attributes)
		resend, _ := as["http.request.resend_count"].(int64)
		if span.Name != "GET orders" || span.SpanKind != trace.SpanKindClient || resend != want.resend ||
			(span.Status.Code == codes.Error) != want.failed || as["error.type"] != want.err {
			t.Errorf("attempt %d: %s %v %v %v, want %+v", i+1, span.Name, span.SpanKind, span.Status, as, want)
		}
		if span.Parent.SpanID() != server.SpanContext.SpanID() {
			t.Errorf("attempt %d is not below the request", i+1)
		}
		field := exchange.Field{Name: "Traceparent", Value: "00-" + traceID + "-" + span.SpanContext.SpanID().String() + "-01"}
		if diff := cmp.Diff([]exchange.Field{field}, told[i]); diff != "" {
			t.Errorf("attempt %d tells the upstream of another span (-want +got):\n%s", i+1, diff)
		}
	}
	if f := r.Forwards(); len(f) != 0 {
		t.Errorf("fields forwarded: %v, want the caller's to go through as they came", f)
	}
}

func TestTheAttributes(t *testing.T) {
	tr, spans := traced(t, plain)
	r := record(true, "User-Agent", "curl/8", "Authorization", "Bearer hunter2", "Cookie", "hunter2")
	r.Scheme = "https"
	cross(tr, r, 200)
	got := spans.GetSpans()
	if diff := cmp.Diff(map[string]any{
		"http.request.method": "GET", "url.path": "/v1/orders/42", "url.scheme": "https",
		"server.address": "shop.example", "server.port": int64(8080),
		"client.address": "203.0.113.9", "network.peer.address": "10.0.0.7", "network.peer.port": int64(4711),
		"network.protocol.version": "1.1", "user_agent.original": "curl/8",
		"http.route": "orders", "http.response.status_code": int64(200),
	}, values(got[1].Attributes)); diff != "" {
		t.Errorf("the request (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]any{
		"http.request.method": "GET", "server.address": "127.0.0.1", "server.port": int64(3000),
		"url.full": "http://127.0.0.1:3000/v1/orders/42", "http.response.status_code": int64(200),
		"sidecar.policy.upstream": "app",
	}, values(got[0].Attributes)); diff != "" {
		t.Errorf("the attempt (-want +got):\n%s", diff)
	}
}

func TestWhatClientsInventIsBounded(t *testing.T) {
	tr, spans := traced(t, plain)
	r := record(false, "User-Agent", strings.Repeat("x", 30_000))
	r.Method, r.Path = "BREW", "/caf\xe9"
	cross(tr, r)
	span := spans.GetSpans()[0]
	as := values(span.Attributes)
	if span.Name != "HTTP orders" || as["http.request.method"] != "_OTHER" || as["http.request.method_original"] != "BREW" {
		t.Errorf("method: %s, %v", span.Name, as)
	}
	if as["url.path"] != "/caf\ufffd" {
		t.Errorf("path %q, want valid UTF-8", as["url.path"])
	}
	if n := len(as["user_agent.original"].(string)); n != maxText {
		t.Errorf("the user agent has %d characters, want %d", n, maxText)
	}
}

func TestDecisionsAreEvents(t *testing.T) {
	tr, spans := traced(t, plain)
	r := record(false)
	ctx := tr.Begin(context.Background(), r)
	r.Note(exchange.Decision{Kind: exchange.Validation, Policy: "json", Outcome: exchange.Pass})
	r.Note(exchange.Decision{
		Kind: exchange.RateLimit, Policy: "fair", Outcome: exchange.Refuse, Reason: exchange.RateLimited, Line: 7, Detail: "hunter2",
	})
	r.Status, r.Reason = 429, exchange.RateLimited
	tr.End(ctx, r)
	span := spans.GetSpans()[0]
	if len(span.Events) != 1 {
		t.Fatalf("%d events, want one: a plain pass is none", len(span.Events))
	}
	e := span.Events[0]
	if diff := cmp.Diff(map[string]any{
		"sidecar.policy.kind": "rateLimit", "sidecar.policy.name": "fair", "sidecar.policy.outcome": "refuse",
		"sidecar.policy.reason": "rate_limited", "sidecar.policy.line": int64(7),
	}, values(e.Attributes)); diff != "" || e.Name != "sidecar.policy.decision" {
		t.Errorf("event %s (-want +got):\n%s", e.Name, diff)
	}
	if e.Time.Before(r.Start) || !e.Time.Equal(r.Decisions()[1].At) {
		t.Errorf("the event is of %v, want when it was decided", e.Time)
	}
	if span.Status.Code != codes.Unset {
		t.Errorf("status %v, want none: what the client did is not our error", span.Status)
	}
}

func TestWhatIsAnError(t *testing.T) {
	tests := []struct {
		name   string
		status int
		reason exchange.Reason
		failed bool
		kind   any
	}{
		{"an answer", 200, "", false, nil},
		{"the upstream's own 404", 404, "", false, nil},
		{"the upstream's own 500", 500, "", true, "500"},
		{"a refusal", 403, exchange.RuleDenied, false, nil},
		{"an open breaker", 503, exchange.BreakerOpen, true, "breaker_open"},
		{"an upstream that is away", 502, exchange.UpstreamConnect, true, "upstream_connect"},
		{"an answer that broke off", 200, exchange.UpstreamBody, true, "upstream_body"},
		{"a refusal over gRPC", 200, exchange.RuleDenied, false, nil},
		{"an open breaker over gRPC", 200, exchange.BreakerOpen, true, "breaker_open"},
		{"a client that left", exchange.StatusClientClosed, exchange.ClientClosed, false, "client_closed"},
		{"a client that left within the answer", 200, exchange.ClientClosed, false, "client_closed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tr, spans := traced(t, plain)
			r := record(false)
			ctx := tr.Begin(context.Background(), r)
			r.Status, r.Reason = tt.status, tt.reason
			tr.End(ctx, r)
			span := spans.GetSpans()[0]
			as := values(span.Attributes)
			if failed := span.Status.Code == codes.Error; failed != tt.failed || as["error.type"] != tt.kind {
				t.Errorf("error %t of type %v, want %t, %v", failed, as["error.type"], tt.failed, tt.kind)
			}
			if _, sent := as["http.response.status_code"]; sent == (tt.status == exchange.StatusClientClosed) {
				t.Errorf("status %d told: %t", tt.status, sent)
			}
		})
	}
}

func TestATrustedPeersDecisionIsFollowed(t *testing.T) {
	tr, spans := traced(t, plain)
	r := record(true, "Traceparent", off, "Tracestate", "vendor=1", "Baggage", "a=b")
	told := cross(tr, r, 200)
	if n := len(spans.GetSpans()); n != 0 || r.TraceID != "" || told[0] != nil || len(r.Forwards()) != 0 {
		t.Errorf("%d spans, forwards %v, %v, want nothing made and nothing touched", n, told, r.Forwards())
	}
	tr, spans = traced(t, percent(0))
	cross(tr, record(true, "Traceparent", on))
	if n := len(spans.GetSpans()); n != 1 {
		t.Errorf("%d spans, want the caller's decision to count", n)
	}
}

func TestAnybodyElsesTraceIsNotContinued(t *testing.T) {
	dropped := []exchange.Field{{Name: "Traceparent"}, {Name: "Tracestate"}, {Name: "Baggage"}}
	fields := []string{"Traceparent", on, "Tracestate", "vendor=1", "Baggage", "user=admin"}

	tr, spans := traced(t, plain)
	r := record(false, fields...)
	cross(tr, r, 200)
	server := spans.GetSpans()[1]
	if server.Parent.IsValid() || server.SpanContext.TraceID().String() == traceID {
		t.Error("the trace is the caller's, want a new one")
	}
	if len(server.Links) != 1 || server.Links[0].SpanContext.SpanID().String() != spanID {
		t.Errorf("links %v, want one to the caller's span", server.Links)
	}
	if diff := cmp.Diff(dropped, r.Forwards()); diff != "" {
		t.Errorf("traced: fields (-want +got):\n%s", diff)
	}

	tr, spans = traced(t, percent(0))
	r = record(false, fields...)
	cross(tr, r, 200)
	if n := len(spans.GetSpans()); n != 0 {
		t.Errorf("%d spans, want none: who is not trusted cannot ask for them", n)
	}
	if diff := cmp.Diff(dropped, r.Forwards()); diff != "" {
		t.Errorf("not traced: fields (-want +got):\n%s", diff)
	}
}

// The id that the log names, and for which the share was asked.
func TestANewTraceHasTheIDThatWasDrawn(t *testing.T) {
	tr, spans := traced(t, percent(50))
	for len(spans.GetSpans()) < 20 {
		r := record(false)
		cross(tr, r)
		if got := spans.GetSpans(); r.TraceID != "" && got[len(got)-1].SpanContext.TraceID().String() != r.TraceID {
			t.Fatalf("the span is in trace %v, want %s", got[len(got)-1].SpanContext.TraceID(), r.TraceID)
		}
	}
}

func TestATracestateThatBelongsToNothingIsDropped(t *testing.T) {
	for name, fields := range map[string][]string{
		"of no trace":          {"Tracestate", "vendor=1"},
		"of a malformed trace": {"Traceparent", "nonsense", "Tracestate", "vendor=1"},
		"malformed":            {"Traceparent", on, "Tracestate", "=="},
	} {
		t.Run(name, func(t *testing.T) {
			tr, _ := traced(t, plain)
			r := record(true, fields...)
			cross(tr, r, 200)
			if diff := cmp.Diff([]exchange.Field{{Name: "Tracestate"}}, r.Forwards()); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWithoutPropagatorsFieldsGoThrough(t *testing.T) {
	env := plain
	env.context, env.baggage = false, false
	tr, spans := traced(t, env)
	r := record(false, "Traceparent", on, "Tracestate", "vendor=1", "Baggage", "a=b")
	told := cross(tr, r, 200)
	if n := len(spans.GetSpans()); n != 2 || told[0] != nil || len(r.Forwards()) != 0 {
		t.Errorf("%d spans, forwards %v, %v, want 2 and nothing touched", n, told, r.Forwards())
	}
}

func TestARequestThatIsNotTracedAllocatesNothing(t *testing.T) {
	tr := newTracing(percent(0), sdk.WithSampler(sdk.NeverSample()))
	for name, r := range map[string]*exchange.Record{
		"with nothing":         record(false),
		"with a caller's word": record(true, "Traceparent", off, "Tracestate", "vendor=1", "Baggage", "a=b"),
	} {
		ctx, a := context.Background(), &exchange.Attempt{Number: 1}
		got := testing.AllocsPerRun(1000, func() {
			ctx := tr.Begin(ctx, r)
			tr.Attempted(tr.Attempt(ctx, r, a), r, a)
			tr.End(ctx, r)
		})
		if got != 0 {
			t.Errorf("%s: %v allocations, want none", name, got)
		}
	}
}

func TestAStrangersTraceIsDroppedWithoutAllocating(t *testing.T) {
	tr := newTracing(percent(0))
	const runs = 1000
	rs := make([]*exchange.Record, runs+1) // one to warm up
	for i := range rs {
		rs[i] = record(false, "Traceparent", on)
	}
	next := 0
	got := testing.AllocsPerRun(runs, func() {
		tr.End(tr.Begin(context.Background(), rs[next]), rs[next])
		next++
	})
	if got != 0 {
		t.Errorf("%v allocations, want none", got)
	}
	// What others say of this exchange stays in it.
	rs[0].Forward(exchange.Field{Name: "X-User", Value: "alice"})
	if diff := cmp.Diff([]exchange.Field{{Name: "Traceparent"}}, rs[1].Forwards()); diff != "" {
		t.Errorf("another exchange (-want +got):\n%s", diff)
	}
	if tr.foreign[1].Name != "Tracestate" {
		t.Errorf("fields that are dropped: %v", tr.foreign)
	}
}

func BenchmarkObserve(b *testing.B) {
	for name, share := range map[string]float64{"not traced": 0, "traced": 100} {
		b.Run(name, func(b *testing.B) {
			tr := newTracing(percent(share))
			r := record(true)
			a := &exchange.Attempt{Number: 1, Status: 200}
			b.ReportAllocs()
			for b.Loop() {
				r.TraceID, a.Forward = "", nil
				ctx := tr.Begin(context.Background(), r)
				tr.Attempted(tr.Attempt(ctx, r, a), r, a)
				tr.End(ctx, r)
			}
		})
	}
	b.Run("not traced parallel", func(b *testing.B) {
		tr := newTracing(percent(0))
		b.ReportAllocs()
		b.SetParallelism(2)
		b.RunParallel(func(pb *testing.PB) {
			r, a := record(true, "Traceparent", off), &exchange.Attempt{Number: 1, Status: 200}
			for pb.Next() {
				ctx := tr.Begin(context.Background(), r)
				tr.Attempted(tr.Attempt(ctx, r, a), r, a)
				tr.End(ctx, r)
			}
		})
	})
}
