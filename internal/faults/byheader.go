package faults

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"sidecar/internal/exchange"
)

// ByHeader bounds what a request may ask for. The fields are Envoy's
// (https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/fault_filter#controlling-fault-injection-via-http-headers):
// x-envoy-fault-delay-request (in ms), x-envoy-fault-abort-request (a status),
// x-envoy-fault-abort-grpc-request (a gRPC status) and
// x-envoy-fault-throughput-response (in KiB/s), the first two and the last also
// with -percentage behind them. The upstream never sees them. On routes without
// a fault that has this key they are fields like any other, and pass.
type ByHeader struct {
	// MaxDelay is the longest delay; a longer one is cut to it. Up to 1h, 0 is
	// no delay; default 5s.
	MaxDelay time.Duration `yaml:"maxDelay"`
	// Aborts says whether a request may be aborted. Default true.
	Aborts bool `yaml:"aborts"`
	// MinBandwidth is the slowest body; a slower one is as fast. Default 1KiB/s.
	MinBandwidth Bandwidth `yaml:"minBandwidth"`
}

// SetDefaults fills b with what is not said.
func (b *ByHeader) SetDefaults() {
	*b = ByHeader{MaxDelay: 5 * time.Second, Aborts: true, MinBandwidth: 1 << 10}
}

// Validate reports every problem with b.
func (b *ByHeader) Validate(report exchange.Report) {
	exchange.Between(report, "maxDelay", b.MaxDelay, 0, time.Hour)
	if b.MinBandwidth < 1 || b.MinBandwidth > maxBandwidth {
		report("minBandwidth", fmt.Sprintf("must be 1/s to 1GiB/s, got %v", b.MinBandwidth))
	}
}

// The fields, in canonical form.
const (
	delayField      = "X-Envoy-Fault-Delay-Request"
	abortField      = "X-Envoy-Fault-Abort-Request"
	abortGRPCField  = "X-Envoy-Fault-Abort-Grpc-Request"
	throughputField = "X-Envoy-Fault-Throughput-Response"
	percentage      = "-Percentage"
)

var askingFields = []string{
	delayField, delayField + percentage, abortField, abortField + percentage, abortGRPCField,
	throughputField, throughputField + percentage,
}

// asked returns what r asks for, drawn by d: within percent, the policy's, and
// within b. A value that cannot be read asks for nothing; such a percentage is
// the policy's.
func (b *ByHeader) asked(r *http.Request, percent float64, d *draws) (delay time.Duration, abort Abort, body Body) {
	drawn := func(field string) bool {
		share := percent
		if n, ok := number(r, field+percentage); ok {
			share = min(share, float64(n))
		}
		return d.below(share)
	}
	// Each draws, whatever is asked, so that one does not move the others.
	delayed, aborted, slowed := drawn(delayField), drawn(abortField), drawn(throughputField)
	if ms, ok := number(r, delayField); ok && delayed {
		delay = min(time.Duration(min(ms, int64(time.Hour/time.Millisecond)))*time.Millisecond, b.MaxDelay)
	}
	if b.Aborts && aborted {
		abort = askedAbort(r)
	}
	if kib, ok := number(r, throughputField); ok && slowed && kib > 0 {
		body.Bandwidth = max(Bandwidth(min(kib, int64(maxBandwidth>>10)))<<10, b.MinBandwidth)
	}
	return delay, abort, body
}

// askedAbort returns the abort that r asks for. The status goes before the gRPC
// status.
func askedAbort(r *http.Request) Abort {
	if status, ok := number(r, abortField); ok {
		if status < 200 || status > 599 {
			return Abort{}
		}
		return Abort{Status: int(status)}
	}
	code, ok := number(r, abortGRPCField)
	if !ok || !exchange.IsGRPC(r) {
		return Abort{}
	}
	for name, c := range grpcCodes {
		if int64(c) == code {
			return Abort{GRPC: name}
		}
	}
	return Abort{}
}

// number returns the value of a field that is a number without a sign, such as
// fits into 32 bits.
func number(r *http.Request, field string) (int64, bool) {
	values := exchange.HeaderOf(r)[field]
	if len(values) != 1 {
		return 0, false
	}
	n, err := strconv.ParseUint(values[0], 10, 32)
	return int64(n), err == nil
}

// unasked returns a RoundTripper that calls next without the fields.
func unasked(next http.RoundTripper) http.RoundTripper {
	return exchange.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
		for _, field := range askingFields {
			if _, ok := exchange.HeaderOf(r)[field]; ok {
				return next.RoundTrip(without(r))
			}
		}
		return next.RoundTrip(r)
	})
}

// without returns a copy of r, whose header is shared with other attempts, that
// has none of the fields.
func without(r *http.Request) *http.Request {
	r = r.WithContext(r.Context())
	r.Header = exchange.HeaderOf(r).Clone()
	for _, field := range askingFields {
		delete(r.Header, field)
	}
	return r
}
