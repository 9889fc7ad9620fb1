package tracing

import (
	"context"
	"encoding/binary"
	"math/rand/v2"

	"go.opentelemetry.io/otel/trace"
)

// sampler says which exchanges are traced.
type sampler struct {
	parentBased bool   // a caller that is believed has decided already
	bound       uint64 // of 2^63
}

const whole = 1 << 63

// ratio returns the bound that lets by a share, 0 to 1, of all.
func ratio(share float64) uint64 { return uint64(share * whole) }

// samples decides for the trace id. It draws nothing: whoever has the same
// share decides the same for the same trace, as the OpenTelemetry SDKs do.
func (s *sampler) samples(id trace.TraceID, from caller, followed bool) bool {
	if followed && s.parentBased {
		return from.sampled
	}
	return binary.BigEndian.Uint64(id[8:])>>1 < s.bound
}

// newTraceID draws the id of a new trace.
func newTraceID() (id trace.TraceID) {
	binary.BigEndian.PutUint64(id[:8], rand.Uint64())
	binary.BigEndian.PutUint64(id[8:], rand.Uint64()|1) // never all zero; the last bit decides nothing
	return id
}

// ids gives a new trace the id for which the sampler has decided: the library
// would draw another.
type ids struct{}

type traceIDKey struct{}

// withTraceID returns a context in which a new trace gets id.
func withTraceID(ctx context.Context, id trace.TraceID) context.Context {
	return context.WithValue(ctx, traceIDKey{}, id)
}

// NewIDs returns the ids of a new trace and its first span.
func (ids) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	id, ok := ctx.Value(traceIDKey{}).(trace.TraceID)
	if !ok {
		id = newTraceID()
	}
	return id, newSpanID()
}

// NewSpanID returns the id of a new span.
func (ids) NewSpanID(context.Context, trace.TraceID) trace.SpanID { return newSpanID() }

func newSpanID() (id trace.SpanID) {
	for id == (trace.SpanID{}) { // which is no id
		binary.BigEndian.PutUint64(id[:], rand.Uint64())
	}
	return id
}
