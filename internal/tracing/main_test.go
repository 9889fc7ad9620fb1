package tracing

import (
	"context"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.uber.org/goleak"

	"sidecar/internal/exchange"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The environment without variables.
var plain = environment{context: true, baggage: true, sampler: sampler{parentBased: true, bound: whole}}

const (
	traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
	spanID  = "00f067aa0ba902b7"

	on  = "00-" + traceID + "-" + spanID + "-01"
	off = "00-" + traceID + "-" + spanID + "-00"
)

// traced returns a Tracing that keeps its spans at hand.
func traced(t *testing.T, env environment) (*Tracing, *tracetest.InMemoryExporter) {
	t.Helper()
	spans := tracetest.NewInMemoryExporter()
	tr := newTracing(env, sdk.WithSyncer(spans))
	t.Cleanup(func() { _ = tr.Shutdown(context.Background()) })
	return tr, spans
}

// percent returns plain with a share of its own.
func percent(share float64) environment {
	e := plain
	e.sampler.bound = ratio(share / 100)
	return e
}

// record returns what is known of a request with these fields: name, value.
func record(trusted bool, fields ...string) *exchange.Record {
	h := http.Header{}
	for i := 0; i < len(fields); i += 2 {
		h.Add(fields[i], fields[i+1])
	}
	return &exchange.Record{
		ID: "id", Start: time.Now(), Method: "GET", Host: "shop.example:8080", Path: "/v1/orders/42",
		Proto: "HTTP/1.1", Scheme: "http", Client: netip.MustParseAddr("203.0.113.9"), Peer: netip.MustParseAddrPort("10.0.0.7:4711"),
		Trusted: trusted, RequestHeader: h, Route: exchange.NoRouteName,
	}
}

// cross takes r through t with one attempt for each status, and returns what
// the attempts tell the upstream.
func cross(t *Tracing, r *exchange.Record, statuses ...int) [][]exchange.Field {
	ctx := t.Begin(context.Background(), r)
	r.Route, r.Upstream = "orders", "app"
	var told [][]exchange.Field
	for _, status := range statuses {
		a := &exchange.Attempt{
			Number: r.NextAttempt(), Upstream: "app", Endpoint: "127.0.0.1:3000", Scheme: "http", Start: time.Now(),
		}
		attempt := t.Attempt(ctx, r, a)
		a.Status, a.Took = status, time.Millisecond
		if status == 0 {
			a.Failure = &exchange.Failure{Kind: exchange.FailedConnect}
		}
		t.Attempted(attempt, r, a)
		told = append(told, a.Forward)
		r.Status = status
	}
	r.Took = time.Second
	t.End(ctx, r)
	return told
}

// values returns attributes by name.
func values(as []attribute.KeyValue) map[string]any {
	m := map[string]any{}
	for _, a := range as {
		m[string(a.Key)] = a.Value.AsInterface()
	}
	return m
}
