package exchange

import (
	"net/http"
	"strconv"
	"strings"
)

// IsGRPC reports whether r is a gRPC call: over HTTP/2, of content type
// application/grpc, or with a +suffix
// (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md). Over
// HTTP/1 the content type alone must not lift a bound or bend an answer.
func IsGRPC(r *http.Request) bool { return r.ProtoMajor == 2 && isGRPC(HeaderOf(r)) }

// GRPCStatus returns the status of a gRPC call that ended with its headers
// ("trailers-only"). A call that goes on after its headers has none yet.
func GRPCStatus(resp *http.Response) (code int, ok bool) {
	value := resp.Header.Get("Grpc-Status")
	if value == "" || !isGRPC(resp.Header) {
		return 0, false
	}
	code, err := strconv.Atoi(value)
	return code, err == nil
}

func isGRPC(h http.Header) bool {
	values := h["Content-Type"]
	if len(values) == 0 {
		return false
	}
	rest, ok := strings.CutPrefix(values[0], "application/grpc")
	return ok && (rest == "" || rest[0] == '+' || rest[0] == ';')
}
