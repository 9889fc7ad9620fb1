package exchange

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

func TestConditionWords(t *testing.T) {
	good := []string{
		"5xx", "gateway-error", "retriable-4xx", "connect-failure", "reset-before-request", "refused-stream", "reset", "timeout", "protocol",
		"400", "409", "499", "500", "503", "599", "grpc-cancelled", "grpc-unknown", "grpc-deadline-exceeded",
		"grpc-resource-exhausted", "grpc-aborted", "grpc-internal", "grpc-unavailable", "grpc-data-loss",
	}
	for _, word := range good {
		var c Condition
		if err := c.UnmarshalText([]byte(word)); err != nil || string(c) != word {
			t.Errorf("%q is read as %q, %v, want no error", word, c, err)
		}
	}
	bad := []string{
		"", " ", "5XX", "4xx", "200", "399", "600", "0503", "+503", "-503", "503 ", "5e2", "503.0", "٥٠٣",
		"client", // is nobody's failure
		"grpc-", "grpc-ok", "grpc-14", "grpc-UNAVAILABLE", "grpc-not-found", "grpc-permission-denied", "GRPC-unavailable",
		"connect_failure", "Timeout", "gateway-error,5xx",
	}
	for _, word := range bad {
		c := Condition("before")
		err := c.UnmarshalText([]byte(word))
		if err == nil || !strings.Contains(err.Error(), "got "+strconv.Quote(word)) {
			t.Errorf("%q: error %v, want one that tells the word", word, err)
		}
		if c != "before" {
			t.Errorf("%q is refused, and yet stored as %q", word, c)
		}
	}
}

func FuzzCondition(f *testing.F) {
	for _, word := range []string{"5xx", "503", "grpc-unavailable", "reset", "client", "grpc-", "0503"} {
		f.Add(word)
	}
	f.Fuzz(func(t *testing.T, word string) {
		var c Condition
		if c.UnmarshalText([]byte(word)) != nil {
			return
		}
		if text, err := c.MarshalText(); err != nil || string(text) != word {
			t.Errorf("%q marshals as %q, %v", word, text, err)
		}
		// Whatever the word: what went well meets none.
		if c, ok := (Conditions{c}).Match(&http.Response{StatusCode: 200, Header: http.Header{}}, nil); ok {
			t.Errorf("200 meets %q", c)
		}
	})
}

func TestMatch(t *testing.T) {
	status := func(code int) *http.Response { return &http.Response{StatusCode: code, Header: http.Header{}} }
	grpc := func(code, status string) *http.Response {
		resp := &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/grpc"}}}
		if status != "" {
			resp.StatusCode, _ = strconv.Atoi(status)
		}
		if code != "" {
			resp.Header.Set("Grpc-Status", code)
		}
		return resp
	}
	web := status(200)
	web.Header.Set("Grpc-Status", "14") // of no gRPC call

	failed := func(kind FailureKind) error {
		return fmt.Errorf("calling: %w", &Failure{Kind: kind, Err: errors.New("x")})
	}
	all := Conditions{
		On5xx, OnGatewayError, OnRetriable4xx, "connect-failure", "reset-before-request", "reset", "timeout", "protocol",
		"grpc-cancelled", "grpc-unknown", "grpc-deadline-exceeded", "grpc-unavailable",
	}
	tests := []struct {
		name string
		list Conditions
		resp *http.Response
		err  error
		want Condition // empty: none
	}{
		{"nothing is asked for", nil, status(503), nil, ""},
		{"200 is well", all, status(200), nil, ""},
		{"304 is well", all, status(304), nil, ""},
		{"404 is the client's", all, status(404), nil, ""},
		{"500", all, status(500), nil, On5xx},
		{"599", all, status(599), nil, On5xx},
		{"600 is nothing we know", all, status(600), nil, ""},
		{"409", all, status(409), nil, OnRetriable4xx},
		{"500 is no gateway's", Conditions{OnGatewayError}, status(500), nil, ""},
		{"501 is no gateway's", Conditions{OnGatewayError}, status(501), nil, ""},
		{"502 is a gateway's", Conditions{OnGatewayError}, status(502), nil, OnGatewayError},
		{"504 is a gateway's", Conditions{OnGatewayError}, status(504), nil, OnGatewayError},
		{"505 is no gateway's", Conditions{OnGatewayError}, status(505), nil, ""},
		{"the first that holds is told", Conditions{"502", "503", On5xx}, status(503), nil, "503"},
		{"a number is that number only", Conditions{"503"}, status(502), nil, ""},
		{"a number of the client's range", Conditions{"425"}, status(425), nil, "425"},

		{"connect", all, nil, failed(FailedConnect), "connect-failure"},
		{"before the request", all, nil, failed(FailedBeforeRequest), "reset-before-request"},
		{"before the request, as HTTP/2 calls it", Conditions{"refused-stream"}, nil, failed(FailedBeforeRequest), "refused-stream"},
		{"after it", all, nil, failed(FailedReset), "reset"},
		{"after it is not refused", Conditions{"refused-stream"}, nil, failed(FailedReset), ""},
		{"timeout", all, nil, failed(FailedTimeout), "timeout"},
		{"protocol", all, nil, failed(FailedProtocol), "protocol"},
		{"the client's failure is never the upstream's", append(all, "client-x"), nil, failed(FailedClient), ""},
		{"a failure is no status", Conditions{On5xx, OnGatewayError, "502", "504"}, nil, failed(FailedTimeout), ""},
		{"a status is no failure", Conditions{"timeout", "reset"}, status(504), nil, ""},
		{"our own word is not the upstream's", append(all, "503"), nil, &Refusal{Kind: CircuitBreaker, Reason: BreakerOpen}, ""},
		{"an error of no kind", all, nil, errors.New("odd"), ""},

		{"gRPC ends well", all, grpc("0", ""), nil, ""},
		{"gRPC is unavailable", all, grpc("14", ""), nil, "grpc-unavailable"},
		{"gRPC is cancelled", all, grpc("1", ""), nil, "grpc-cancelled"},
		{"gRPC's own failure", Conditions{"grpc-internal", "grpc-resource-exhausted"}, grpc("8", ""), nil, "grpc-resource-exhausted"},
		{"gRPC did not find it", all, grpc("5", ""), nil, ""},
		{"gRPC goes on after its headers", all, grpc("", ""), nil, ""},
		{"gRPC of no code", all, grpc("x", ""), nil, ""},
		{"gRPC behind a proxy that failed", Conditions{"503"}, grpc("", "503"), nil, "503"},
		{"a field of the same name", all, web, nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := tt.list.Match(tt.resp, tt.err)
			if got != tt.want || ok != (tt.want != "") {
				t.Errorf("Match = %q, %v, want %q", got, ok, tt.want)
			}
		})
	}
}
