package proxy

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"sidecar/internal/exchange"
)

// requestTimeoutHeader is how a trusted peer says how long it waits.
const requestTimeoutHeader = "X-Request-Timeout"

// longestTimeout stands for a time that a Duration could not hold, or that
// could not be added to another one.
const longestTimeout time.Duration = 1 << 62

// callerTimeout returns how long the caller waits for the end of the exchange,
// as it says itself, and the form of its X-Request-Timeout. That of a stranger
// says nothing: any client could end calls as it likes, and grpc-timeout is
// part of what a gRPC call is.
func callerTimeout(rec *exchange.Record) (d time.Duration, form timeoutForm, ok bool) {
	if rec.GRPC {
		d, ok = grpcTimeout(rec.RequestHeader)
	}
	if !rec.Trusted {
		return d, unsaid, ok
	}
	said, form := requestTimeout(rec.RequestHeader)
	if form != unsaid && (!ok || said < d) {
		d, ok = said, true
	}
	return d, form, ok
}

// timeoutForm is how an X-Request-Timeout is written: its reader gets it in the
// form in which its writer wrote it.
type timeoutForm int

const (
	unsaid    timeoutForm = iota
	inSeconds             // 1.5
	inUnits               // 1.5s, 300ms
)

// requestTimeout returns what X-Request-Timeout says: a number of seconds, or
// a duration as Go writes it. Less than nothing is nothing. A value that is
// neither, or is not alone, is unsaid.
func requestTimeout(h http.Header) (time.Duration, timeoutForm) {
	values := h[requestTimeoutHeader]
	if len(values) != 1 {
		return 0, unsaid
	}
	value := strings.Trim(values[0], " \t")
	if value == "" || len(value) > 32 {
		return 0, unsaid
	}
	if strings.Trim(value, "-.0123456789") == "" {
		seconds, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return 0, unsaid
		}
		if seconds >= longestTimeout.Seconds() {
			return longestTimeout, inSeconds
		}
		return max(0, time.Duration(seconds*float64(time.Second))), inSeconds
	}
	d, err := time.ParseDuration(value)
	if err != nil {
		return 0, unsaid
	}
	return min(max(0, d), longestTimeout), inUnits
}

// formatRequestTimeout writes d in that form, in whole milliseconds, rounded
// down; at least one, as there is still time for a call.
func formatRequestTimeout(d time.Duration, form timeoutForm) string {
	ms := max(1, int64(d/time.Millisecond))
	if form == inUnits {
		return strconv.FormatInt(ms, 10) + "ms"
	}
	return strconv.FormatFloat(float64(ms)/1000, 'f', -1, 64)
}
