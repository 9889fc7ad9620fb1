// Package otlptest is a collector for tests: it takes spans by OTLP over gRPC
// and keeps them.
package otlptest

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
)

// Sink is a running collector. It is safe for concurrent use.
type Sink struct {
	collector.UnimplementedTraceServiceServer

	Address string // host:port

	mu       sync.Mutex // guards all below
	spans    []*trace.Span
	resource map[string]any
}

// Listen returns a collector that runs until the test ends.
func Listen(tb testing.TB, options ...grpc.ServerOption) *Sink {
	tb.Helper()
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	s := &Sink{Address: socket.Addr().String()}
	server := grpc.NewServer(options...)
	collector.RegisterTraceServiceServer(server, s)
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(socket) })
	tb.Cleanup(func() {
		server.Stop()
		serving.Wait()
	})
	return s
}

// Export takes spans.
func (s *Sink) Export(_ context.Context, r *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, of := range r.GetResourceSpans() {
		s.resource = Values(of.GetResource().GetAttributes())
		for _, scope := range of.GetScopeSpans() {
			s.spans = append(s.spans, scope.GetSpans()...)
		}
	}
	return &collector.ExportTraceServiceResponse{}, nil
}

// Spans returns what came so far.
func (s *Sink) Spans() []*trace.Span {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.spans[:len(s.spans):len(s.spans)]
}

// Resource returns what the last batch says of the process that sent it.
func (s *Sink) Resource() map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.resource
}

// Wait returns the spans once there are n of them.
func (s *Sink) Wait(tb testing.TB, n int) []*trace.Span {
	tb.Helper()
	for range 2000 {
		if spans := s.Spans(); len(spans) >= n {
			return spans
		}
		time.Sleep(10 * time.Millisecond) // it comes over the network
	}
	tb.Fatalf("%d spans arrived, want %d", len(s.Spans()), n)
	return nil
}

// Values returns attributes by name: each an int64, a string or a bool.
func Values(attributes []*common.KeyValue) map[string]any {
	values := map[string]any{}
	for _, a := range attributes {
		switch v := a.GetValue().GetValue().(type) {
		case *common.AnyValue_StringValue:
			values[a.GetKey()] = v.StringValue
		case *common.AnyValue_IntValue:
			values[a.GetKey()] = v.IntValue
		case *common.AnyValue_BoolValue:
			values[a.GetKey()] = v.BoolValue
		}
	}
	return values
}
