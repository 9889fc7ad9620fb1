package retry

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"sidecar/internal/exchange"
)

// wait returns how long to wait after the n-th attempt, from 1. random is
// drawn from [0,1).
func (b Backoff) wait(n int, random float64) time.Duration {
	d := b.Base
	for ; n > 1 && d < b.Max; n-- {
		d *= 2
	}
	return time.Duration(random * float64(min(d, b.Max)))
}

// askedWait returns how long resp asks to wait, if it does; never says that
// it asks not to come back at all. resp may be nil.
func askedWait(resp *http.Response, now time.Time) (wait time.Duration, asked, never bool) {
	if resp == nil {
		return 0, false, false
	}
	if _, isGRPC := exchange.GRPCStatus(resp); isGRPC {
		if value := resp.Header.Get("Grpc-Retry-Pushback-Ms"); value != "" {
			wait, ok := parsePushback(value)
			return wait, ok, !ok
		}
	}
	wait, asked = parseRetryAfter(resp.Header.Get("Retry-After"), now)
	return wait, asked, false
}

// longest stands for a wait that a Duration cannot hold.
const longest time.Duration = 1<<63 - 1

// parseRetryAfter reads delay-seconds or an HTTP-date (RFC 9110 section
// 10.2.3). A date that has passed asks for no wait. What is neither is
// ignored, as an unknown field would be.
func parseRetryAfter(value string, now time.Time) (time.Duration, bool) {
	if value == "" {
		return 0, false
	}
	if strings.Trim(value, "0123456789") == "" {
		seconds, err := strconv.ParseInt(value, 10, 64)
		if err != nil || seconds > int64(longest/time.Second) { // too many digits
			return longest, true
		}
		return time.Duration(seconds) * time.Second, true
	}
	date, err := http.ParseTime(value)
	if err != nil {
		return 0, false
	}
	return max(0, date.Sub(now)), true
}

// parsePushback reads grpc-retry-pushback-ms. A value that is negative or
// cannot be read asks for no retry at all
// (https://github.com/grpc/proposal/blob/master/A6-client-retries.md#pushback).
func parsePushback(value string) (time.Duration, bool) {
	ms, err := strconv.ParseInt(value, 10, 32)
	if err != nil || ms < 0 {
		return 0, false
	}
	return time.Duration(ms) * time.Millisecond, true
}
