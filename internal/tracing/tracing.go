// Package tracing tells a collector what became of requests: a span for the
// request, and under it one for each call to the upstream.
//
//	SERVER  {METHOD} {route}   decisions of policies as events
//	  CLIENT  {METHOD} {route}   the first attempt
//	  CLIENT  {METHOD} {route}   http.request.resend_count = 1
//
// It is an observer. Whether a request is traced is decided before anything
// of it is made: one that is not costs a look at its traceparent, and a trusted
// peer's traceparent, tracestate and baggage go through as they came. Of one
// that is, each attempt's traceparent names the attempt's span.
//
// A trusted peer's trace is continued, and its decision followed. Any other
// peer's is not: its fields are dropped, so that nobody outside decides what
// is traced behind us, and the new trace links to the one it named.
//
// Spans leave in the background. While the collector is away, at most a queue
// of them is kept and the rest is dropped: requests do not wait.
//
// No query, header value other than the user agent, token or body is in a
// span.
package tracing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/credentials/insecure"

	"sidecar/internal/exchange"
)

var _ exchange.Observer = (*Tracing)(nil)

// Tracing is the observer. It is safe for concurrent use.
type Tracing struct {
	sampler  atomic.Pointer[sampler]
	env      environment
	foreign  []exchange.Field // taken away from what an untrusted peer sends
	provider *sdk.TracerProvider
	tracer   trace.Tracer
	export   *exporter // nil in tests
	give     func()    // gives up what is being exported
}

// New returns a Tracing that sends spans as c says, or nil when nothing is to
// be traced: c is nil, or a variable says so. c must be valid. version is the
// sidecar's own; log hears of what goes wrong later.
//
// It connects to nothing yet. What the policy does not say is read from the
// environment: OTEL_SDK_DISABLED, OTEL_TRACES_EXPORTER, OTEL_TRACES_SAMPLER
// and its _ARG, OTEL_PROPAGATORS, OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES,
// OTEL_BSP_*, OTEL_SPAN_*_LIMIT and, but for the endpoint, OTEL_EXPORTER_OTLP_*.
func New(ctx context.Context, c *Config, version string, log *slog.Logger) (*Tracing, error) {
	if c == nil {
		return nil, nil
	}
	said := listen(log)
	env := readEnvironment(said)
	if env.off != "" {
		log.Info("tracing is switched off", "by", env.off)
		return nil, nil
	}
	of, err := resource.New(ctx,
		resource.WithTelemetrySDK(),
		resource.WithAttributes(semconv.ServiceName("sidecar"), semconv.ServiceVersion(version)),
		resource.WithFromEnv(), // the last word
	)
	switch {
	case errors.Is(err, resource.ErrPartialResource):
		said.Handle(err)
	case err != nil:
		return nil, fmt.Errorf("describing the process to the collector: %w", err)
	}
	otlp, err := newOTLP(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("preparing to call the collector: %w", err)
	}
	life, give := context.WithCancel(context.Background())
	e := &exporter{SpanExporter: otlp, log: log, tally: &tally{}, life: life, ended: make(chan struct{})}
	b := readBatching(said)
	spans := &queue{sdk.NewBatchSpanProcessor(e, b.options()...), int64(b.queue), e.tally}
	t := newTracing(env, sdk.WithResource(of), sdk.WithSpanProcessor(spans))
	t.export, t.give = e, give
	t.Apply(c)
	return t, nil
}

// newOTLP returns what speaks to the collector.
func newOTLP(ctx context.Context, c *Config) (sdk.SpanExporter, error) {
	to := []otlptracegrpc.Option{otlptracegrpc.WithEndpointURL(c.OTLP)}
	if u, err := url.Parse(c.OTLP); err == nil && u.Scheme == "http" {
		// A certificate in the environment would go before the URL.
		to = append(to, otlptracegrpc.WithTLSCredentials(insecure.NewCredentials()))
	}
	return otlptracegrpc.New(ctx, to...)
}

// maxText bounds a text in a span, in characters: clients choose some of them,
// and a queue of them is kept.
const maxText = 2048

func newTracing(env environment, options ...sdk.TracerProviderOption) *Tracing {
	limits := sdk.NewSpanLimits() // from the environment
	if limits.AttributeValueLengthLimit < 0 {
		limits.AttributeValueLengthLimit = maxText
	}
	t := &Tracing{env: env, foreign: env.foreign(), give: func() {}}
	t.sampler.Store(&env.sampler)
	t.provider = sdk.NewTracerProvider(append(options,
		sdk.WithRawSpanLimits(limits),
		sdk.WithSampler(sdk.AlwaysSample()), // it is decided already
		sdk.WithIDGenerator(ids{}),
	)...)
	t.tracer = t.provider.Tracer("sidecar", trace.WithSchemaURL(semconv.SchemaURL))
	return t
}

// Apply makes the samplePercent of c hold for requests that begin from now on.
// The rest of c needs a new Tracing. A nil t or c changes nothing.
func (t *Tracing) Apply(c *Config) {
	switch {
	case t == nil || c == nil:
	case c.SamplePercent == nil:
		t.sampler.Store(&t.env.sampler)
	default:
		t.sampler.Store(&sampler{parentBased: true, bound: ratio(*c.SamplePercent / 100)})
	}
}

// Dropped returns how many spans were lost so far, by the reason: queue_full,
// export_failed. It is nil where nothing is traced.
func (t *Tracing) Dropped() map[string]int64 {
	if t == nil || t.export == nil {
		return nil
	}
	of := t.export.tally
	return map[string]int64{"queue_full": of.noRoom.Load(), "export_failed": of.undelivered.Load()}
}

// grace is how long an export that is given up has to say why it had not ended.
const grace = 500 * time.Millisecond

// Shutdown delivers what is left, until ctx ends; what has not been delivered
// by then is lost, and the error is an *Undelivered. It is called when no
// exchange is in flight any more. A nil t has nothing left.
func (t *Tracing) Shutdown(ctx context.Context) error {
	if t == nil {
		return nil
	}
	defer t.give()
	if t.export == nil {
		return t.provider.Shutdown(ctx)
	}
	t.export.closes()
	err := t.provider.Shutdown(ctx)
	if err != nil {
		t.give()
		select {
		case <-t.export.ended:
		case <-time.After(grace):
		}
	}
	return t.export.sum(err)
}
