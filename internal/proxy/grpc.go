package proxy

import (
	"cmp"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const grpcTimeoutHeader = "Grpc-Timeout"

// grpcUnits are the units of grpc-timeout
// (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#requests).
const grpcUnits = "HMSmun"

var grpcUnit = [...]time.Duration{
	time.Hour, time.Minute, time.Second, time.Millisecond, time.Microsecond, time.Nanosecond,
}

// grpcTimeout returns how long the caller waits for the end of its call. A
// value that is no grpc-timeout is left to the upstream to refuse.
func grpcTimeout(h http.Header) (time.Duration, bool) {
	value := h.Get(grpcTimeoutHeader)
	if len(value) < 2 || len(value) > 9 { // at most 8 digits
		return 0, false
	}
	unit := strings.IndexByte(grpcUnits, value[len(value)-1])
	n, err := strconv.ParseUint(value[:len(value)-1], 10, 64)
	if unit < 0 || err != nil {
		return 0, false
	}
	if n > uint64(longestTimeout/grpcUnit[unit]) {
		return longestTimeout, true
	}
	return time.Duration(n) * grpcUnit[unit], true
}

// grpcStatus returns the status that a call has ended with, of h, which a
// handler has written and put trailers into.
func grpcStatus(h http.Header) string {
	const name = "Grpc-Status"
	return cmp.Or(h.Get(name), h.Get(http.TrailerPrefix+name))
}

// formatGRPCTimeout writes d in the finest unit that takes no more than 8
// digits, rounded down; at least 1n, as 0 is not legal.
func formatGRPCTimeout(d time.Duration) string {
	d = max(d, 1)
	for i := len(grpcUnits) - 1; i > 0; i-- {
		if n := d / grpcUnit[i]; n < 1e8 {
			return strconv.FormatInt(int64(n), 10) + grpcUnits[i:i+1]
		}
	}
	return strconv.FormatInt(int64(d/time.Hour), 10) + "H"
}
