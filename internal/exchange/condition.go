package exchange

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// Condition names one way in which an upstream call can end badly: the words
// of retryOn and failureOn. They are Envoy's
// (https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/router_filter#x-envoy-retry-on),
// a status as a number, or grpc- and a gRPC code in lower case.
//
// One of Envoy's says less here: 5xx is a status, and a reset or a timeout has a
// word of its own. Left out are retriable-status-codes, which the numbers are;
// retriable-headers and envoy-ratelimited, for which the upstream has
// Retry-After; and what speaks of HTTP/3.
type Condition string

// The words, beside the kinds of Failure.
const (
	On5xx          Condition = "5xx"           // any status of 500 to 599
	OnGatewayError Condition = "gateway-error" // 502, 503 or 504
	OnRetriable4xx Condition = "retriable-4xx" // 409

	// OnRefusedStream is reset-before-request by the name that HTTP/2 has for
	// one form of it: either says that the upstream has done nothing.
	OnRefusedStream Condition = "refused-stream"
)

// grpcWords are the codes a call can end with for reasons of the server.
var grpcWords = map[string]int{
	"cancelled":          1,
	"unknown":            2,
	"deadline-exceeded":  4,
	"resource-exhausted": 8,
	"aborted":            10,
	"internal":           13,
	"unavailable":        14,
	"data-loss":          15,
}

// UnmarshalText accepts the words of Condition and refuses all others.
func (c *Condition) UnmarshalText(text []byte) error {
	word := Condition(text)
	switch word {
	case On5xx, OnGatewayError, OnRetriable4xx, OnRefusedStream,
		Condition(FailedConnect), Condition(FailedBeforeRequest), Condition(FailedReset),
		Condition(FailedTimeout), Condition(FailedProtocol):
		*c = word
		return nil
	}
	if code, ok := strings.CutPrefix(string(word), "grpc-"); ok {
		if _, ok := grpcWords[code]; ok {
			*c = word
			return nil
		}
	}
	if status, err := strconv.Atoi(string(word)); err == nil && status >= 400 && status <= 599 && len(word) == 3 {
		*c = word
		return nil
	}
	return fmt.Errorf("must be a status of 400 to 599, 5xx, gateway-error, retriable-4xx, connect-failure, "+
		"reset-before-request, refused-stream, reset, timeout, protocol or grpc-CODE (such as grpc-unavailable), got %q", text)
}

// MarshalText returns the word.
func (c Condition) MarshalText() ([]byte, error) { return []byte(c), nil }

// Conditions is a list of which any may hold.
type Conditions []Condition

// Match returns the first condition that the end of an upstream call meets.
// A Refusal meets none: it is our own word, not the upstream's.
func (cs Conditions) Match(resp *http.Response, err error) (Condition, bool) {
	if err == nil && resp.StatusCode < 400 && len(resp.Header["Grpc-Status"]) == 0 {
		return "", false
	}
	for _, c := range cs {
		if c.match(resp, err) {
			return c, true
		}
	}
	return "", false
}

func (c Condition) match(resp *http.Response, err error) bool {
	if err != nil {
		f, failed := errors.AsType[*Failure](err)
		return failed && (c == Condition(f.Kind) || c == OnRefusedStream && f.Kind == FailedBeforeRequest)
	}
	status := resp.StatusCode
	switch c {
	case On5xx:
		return status >= 500 && status <= 599
	case OnGatewayError:
		return status >= 502 && status <= 504
	case OnRetriable4xx:
		return status == http.StatusConflict
	}
	if code, ok := strings.CutPrefix(string(c), "grpc-"); ok {
		got, isGRPC := GRPCStatus(resp)
		return isGRPC && got == grpcWords[code]
	}
	return strconv.Itoa(status) == string(c)
}
