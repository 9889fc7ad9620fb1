package tracing

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

func TestTraceparentIsReadAsTheStandardSays(t *testing.T) {
	tests := []struct {
		name, value   string
		valid, sample bool
	}{
		{"sampled", on, true, true},
		{"not sampled", off, true, false},
		{"flags that we do not know", "00-" + traceID + "-" + spanID + "-fe", true, false},
		{"a later version", "cc-" + traceID + "-" + spanID + "-01", true, true},
		{"a later version that says more", "cc-" + traceID + "-" + spanID + "-01-what", true, true},
		{"a later version with no dash behind the flags", "cc-" + traceID + "-" + spanID + "-01what", false, false},
		{"version ff", "ff-" + traceID + "-" + spanID + "-01", false, false},
		{"version 00 that says more", on + "-what", false, false},
		{"capitals", strings.ToUpper(on), false, false},
		{"no trace", "00-" + strings.Repeat("0", 32) + "-" + spanID + "-01", false, false},
		{"no span", "00-" + traceID + "-" + strings.Repeat("0", 16) + "-01", false, false},
		{"too short", on[:54], false, false},
		{"no dashes", strings.ReplaceAll(on, "-", "0"), false, false},
		{"empty", "", false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, ok := parseTraceparent(tt.value)
			if ok != tt.valid || c.sampled != tt.sample {
				t.Errorf("%q: valid %t, sampled %t, want %t, %t", tt.value, ok, c.sampled, tt.valid, tt.sample)
			}
			if ok && (c.trace.String() != traceID || c.span.String() != spanID) {
				t.Errorf("%q: trace %v, span %v", tt.value, c.trace, c.span)
			}
		})
	}
	if _, ok := callerOf(http.Header{"Traceparent": {on, on}}); ok {
		t.Error("two traceparents are believed, want neither")
	}
}

// What the tracing library accepts, and reads in it, is what we do.
func FuzzTraceparent(f *testing.F) {
	for _, seed := range []string{on, off, "cc-" + traceID + "-" + spanID + "-01-x", on + "-", strings.ToUpper(on), "", "--"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, ok := parseTraceparent(s)
		ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{"traceparent": s})
		theirs := trace.SpanContextFromContext(ctx)
		// It wants the unknown bits of version 00 to be zero, and lets a dash
		// stand at its end.
		if !ok && theirs.IsValid() && s != s[:55]+"-" || ok && !theirs.IsValid() && s[:2] != "00" {
			t.Fatalf("%q: valid %t, the library says %t", s, ok, theirs.IsValid())
		}
		if ok && theirs.IsValid() && (c.trace != theirs.TraceID() || c.span != theirs.SpanID() || c.sampled != theirs.IsSampled()) {
			t.Fatalf("%q: %+v, the library says %+v", s, c, theirs)
		}
		if ok && c.sampled {
			again, ok := parseTraceparent(traceparent(c.context(trace.TraceState{})))
			if !ok || again != c {
				t.Fatalf("%q: written as %+v, want %+v", s, again, c)
			}
		}
	})
}
