package tracing

import (
	"net/http"

	"go.opentelemetry.io/otel/trace"
)

// The fields of W3C Trace Context and Baggage, in canonical form.
const (
	traceparentHeader = "Traceparent"
	tracestateHeader  = "Tracestate"
	baggageHeader     = "Baggage"
)

// caller is what a traceparent says of who calls.
type caller struct {
	trace   trace.TraceID
	span    trace.SpanID
	sampled bool
}

// callerOf returns what the traceparent in h says. One that is not valid, or
// not the only one, says nothing
// (https://www.w3.org/TR/trace-context/#traceparent-header). It does not
// allocate.
func callerOf(h http.Header) (c caller, ok bool) {
	values := h[traceparentHeader]
	if len(values) != 1 {
		return caller{}, false
	}
	return parseTraceparent(values[0])
}

// parseTraceparent reads VERSION-TRACE-SPAN-FLAGS. What a later version has
// behind that is not ours to understand.
func parseTraceparent(s string) (c caller, ok bool) {
	const length = 2 + 1 + 32 + 1 + 16 + 1 + 2
	if len(s) < length || s[2] != '-' || s[35] != '-' || s[52] != '-' {
		return caller{}, false
	}
	var version, flags [1]byte
	if !unhex(version[:], s[:2]) || !unhex(c.trace[:], s[3:35]) || !unhex(c.span[:], s[36:52]) || !unhex(flags[:], s[53:55]) {
		return caller{}, false
	}
	switch {
	case version[0] == 0xff, version[0] == 0 && len(s) > length, len(s) > length && s[length] != '-',
		c.trace == trace.TraceID{}, c.span == trace.SpanID{}:
		return caller{}, false
	}
	c.sampled = flags[0]&1 != 0
	return c, true
}

// unhex decodes lower-case hexadecimal digits; others are not allowed here.
func unhex(dst []byte, s string) bool {
	for i := range dst {
		high, low := digit(s[2*i]), digit(s[2*i+1])
		if high|low > 0xf {
			return false
		}
		dst[i] = high<<4 | low
	}
	return true
}

// digit returns what c stands for; more than 15: nothing.
func digit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	}
	return 0xff
}

// traceparent returns sc, which is sampled, as a header field has it.
func traceparent(sc trace.SpanContext) string {
	return "00-" + sc.TraceID().String() + "-" + sc.SpanID().String() + "-01"
}

// context returns c as the tracing library knows it.
func (c caller) context(state trace.TraceState) trace.SpanContext {
	var flags trace.TraceFlags
	return trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: c.trace, SpanID: c.span, TraceFlags: flags.WithSampled(c.sampled), TraceState: state, Remote: true,
	})
}
