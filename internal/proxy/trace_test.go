package proxy

import (
	"context"
	"encoding/hex"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	trace "go.opentelemetry.io/proto/otlp/trace/v1"

	"sidecar/internal/exchange"
	"sidecar/internal/tracing"
	"sidecar/internal/tracing/otlptest"
)

const (
	callersTrace = "4bf92f3577b34da6a3ce929d0e0e4736"
	callersSpan  = "00f067aa0ba902b7"
)

// tracedTo has a proxy send its spans to sink, until finish is called.
func tracedTo(t *testing.T, sink *otlptest.Sink) (change func(*Options), finish func()) {
	t.Helper()
	tr, err := tracing.New(t.Context(), &tracing.Config{OTLP: "http://" + sink.Address}, "test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	finish = func() {
		if err := tr.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	}
	return func(o *Options) { o.Observers = append(exchange.Observers{tr}, o.Observers...) }, sync.OnceFunc(finish)
}

// calls is an upstream that keeps the header of each call.
type calls struct {
	mu   sync.Mutex
	seen []http.Header
}

func (c *calls) answer(status ...int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.seen = append(c.seen, r.Header)
		w.WriteHeader(status[min(len(c.seen), len(status))-1])
	}
}

// The first attempt fails by itself, the second by a fault; the third is well.
const drilled = `
version: v1
upstreams: {app: {endpoints: [{url: "${UPSTREAM}"}]}}
policies:
  retry: {patient: {maxAttempts: 3, backoff: {base: 1ms, max: 1ms}}}
  fault: {chaos: {enabled: true, abort: {status: 503}, when: {headers: {X-Sidecar-Attempt: "2"}}}}
routes: [{name: orders, upstream: app, use: {retry: patient, fault: chaos}}]
`

func TestATraceTellsEachAttemptAndWhy(t *testing.T) {
	sink := otlptest.Listen(t)
	change, finish := tracedTo(t, sink)
	defer finish()
	var up calls
	p, saw := apply(t, drilled, service(t, up.answer(503, 200)), change)
	req, _ := http.NewRequest("GET", listen(t, p)+"/v1/orders/42?token=hunter2", nil)
	req.Header.Set("Traceparent", "00-"+callersTrace+"-"+callersSpan+"-01")
	req.Header.Set("Tracestate", "vendor=1")
	req.Header.Set("Baggage", "tenant=acme")
	req.Header.Set("Authorization", "Bearer hunter2")
	resp, err := client(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if body(t, resp); resp.StatusCode != 200 {
		t.Fatalf("status %d, want 200", resp.StatusCode)
	}
	saw.next(t)
	finish()

	var server *trace.Span
	var attempts []*trace.Span
	for _, s := range sink.Spans() {
		if strings.Contains(s.String(), "hunter2") {
			t.Errorf("a span tells a secret: %v", s)
		}
		if hexOf(s.GetTraceId()) != callersTrace {
			t.Errorf("%s is in trace %x, want the caller's", s.GetName(), s.GetTraceId())
		}
		if s.GetKind() == trace.Span_SPAN_KIND_SERVER {
			server = s
		} else {
			attempts = append(attempts, s)
		}
	}
	if server == nil || len(attempts) != 3 {
		t.Fatalf("spans %v, want one of the request and three of attempts", sink.Spans())
	}
	if server.GetName() != "GET orders" || hexOf(server.GetParentSpanId()) != callersSpan {
		t.Errorf("the request is %s below %x, want it below the caller", server.GetName(), server.GetParentSpanId())
	}
	for i, want := range []struct {
		resend any
		status int64
		fault  any
	}{{nil, 503, nil}, {int64(1), 503, "chaos"}, {int64(2), 200, nil}} {
		as := otlptest.Values(attempts[i].GetAttributes())
		if as["http.request.resend_count"] != want.resend || as["http.response.status_code"] != want.status ||
			as["sidecar.policy.fault"] != want.fault {
			t.Errorf("attempt %d: %v, want %+v", i+1, as, want)
		}
		if hexOf(attempts[i].GetParentSpanId()) != hexOf(server.GetSpanId()) {
			t.Errorf("attempt %d is not below the request", i+1)
		}
	}
	if got := eventsOf(server); got != "retry act 503, fault act fault_abort, retry act 503" {
		t.Errorf("events: %s", got)
	}
	if len(up.seen) != 2 {
		t.Fatalf("the upstream saw %d calls, want the first attempt and the third", len(up.seen))
	}
	for i, h := range up.seen {
		want := "00-" + callersTrace + "-" + hexOf(attempts[2*i].GetSpanId()) + "-01"
		if h.Get("Traceparent") != want || h.Get("Tracestate") != "vendor=1" || h.Get("Baggage") != "tenant=acme" {
			t.Errorf("call %d is told %v, want traceparent %s and the rest as it came", i+1, h, want)
		}
	}
}

func TestWhatIsNotTracedGoesThroughUnchanged(t *testing.T) {
	fields := map[string]string{
		"Traceparent": "00-" + callersTrace + "-" + callersSpan + "-00", "Tracestate": "vendor=1", "Baggage": "a=b",
	}
	sink := otlptest.Listen(t)
	change, finish := tracedTo(t, sink)
	defer finish()
	for name, changes := range map[string][]func(*Options){"tracing is off": nil, "the caller decided": {change}} {
		t.Run(name, func(t *testing.T) {
			var up calls
			p, _ := apply(t, minimal, service(t, up.answer(200)), changes...)
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = "127.0.0.1:1"
			for name, value := range fields {
				r.Header.Set(name, value)
			}
			p.ServeHTTP(httptest.NewRecorder(), r)
			for name, value := range fields {
				if got := up.seen[0][name]; len(got) != 1 || got[0] != value {
					t.Errorf("the upstream sees %s %q, want %q", name, got, value)
				}
			}
		})
	}
	finish()
	if n := len(sink.Spans()); n != 0 {
		t.Errorf("%d spans, want none", n)
	}
}

func TestAStrangersTraceEndsHere(t *testing.T) {
	sink := otlptest.Listen(t)
	change, finish := tracedTo(t, sink)
	defer finish()
	var up calls
	p, _ := apply(t, minimal, service(t, up.answer(200)), change)
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = "192.0.2.1:1"
	r.Header.Set("Traceparent", "00-"+callersTrace+"-"+callersSpan+"-01")
	r.Header.Set("Tracestate", "vendor=1")
	r.Header.Set("Baggage", "user=admin")
	p.ServeHTTP(httptest.NewRecorder(), r)
	finish()
	h := up.seen[0]
	if h["Tracestate"] != nil || h["Baggage"] != nil || !strings.HasPrefix(h.Get("Traceparent"), "00-") ||
		strings.Contains(h.Get("Traceparent"), callersTrace) {
		t.Errorf("the upstream sees %v, want a trace of our own and nothing of the stranger's", h)
	}
	for _, s := range sink.Spans() {
		if s.GetKind() != trace.Span_SPAN_KIND_SERVER {
			continue
		}
		if len(s.GetParentSpanId()) != 0 || len(s.GetLinks()) != 1 || hexOf(s.GetLinks()[0].GetSpanId()) != callersSpan {
			t.Errorf("the request is below %x with links %v, want a root that links to the stranger", s.GetParentSpanId(), s.GetLinks())
		}
	}
}

// A collector takes a batch whole or not at all.
func TestBytesThatAreNoTextDoNotSpoilABatch(t *testing.T) {
	sink := otlptest.Listen(t)
	change, finish := tracedTo(t, sink)
	defer finish()
	p, _ := apply(t, minimal, service(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }), change)
	r := httptest.NewRequest("GET", "/%ff", nil)
	r.Header.Set("User-Agent", "\xff")
	p.ServeHTTP(httptest.NewRecorder(), r)
	finish()
	if n := len(sink.Spans()); n != 2 {
		t.Errorf("%d spans arrived, want 2", n)
	}
}

func eventsOf(s *trace.Span) string {
	var events []string
	for _, e := range s.GetEvents() {
		as := otlptest.Values(e.GetAttributes())
		events = append(events, strings.Join([]string{
			as["sidecar.policy.kind"].(string), as["sidecar.policy.outcome"].(string), as["sidecar.policy.reason"].(string),
		}, " "))
	}
	return strings.Join(events, ", ")
}

func hexOf(id []byte) string { return hex.EncodeToString(id) }
