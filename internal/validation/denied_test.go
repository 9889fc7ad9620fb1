package validation

import (
	"net/http"
	"testing"

	"sidecar/internal/exchange"
)

// Of several denied fields the first of the policy is told, however the request
// has them.
func TestTheFirstDeniedFieldIsTold(t *testing.T) {
	tests := []struct {
		name    string
		fields  []string
		trailer string
		want    string // empty: it passes
	}{
		{"none of them", []string{"X-Request-Id: 1", "X-Debugger: 1", "X: 1", "X-Forwarded-User: 1"}, "X-Sum", ""},
		{"one", []string{"X-Internal: 1"}, "", "X-Internal"},
		{"two", []string{"X-Internal: 1", "X-Debug: 1"}, "", "X-Debug"},
		{"one in another spelling", []string{"X_Internal: 1"}, "", "X-Internal"},
		{"with any mark", []string{"X.Internal: 1"}, "", "X-Internal"},
		{"two, the first in another spelling", []string{"X-Internal: 1", "X_debug: 1"}, "", "X-Debug"},
		{"two, the first as a trailer", []string{"X-Internal: 1"}, "X-Debug", "X-Debug"},
		{"a trailer in another spelling", nil, "X_Debug", "X-Debug"},
		{"a name with a mark", []string{"X_Odd: 1"}, "", "X_odd"},
		{"its other spelling is another field", []string{"X-Odd: 1"}, "", ""},
	}
	v := policy(func(c *Config) { c.Headers.Deny = []string{"X-Debug", "X-Internal", "X_Odd"} })
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for range 20 { // a header is walked in any order
				r := request("GET /", "", tt.fields...)
				if tt.trailer != "" {
					r.Trailer = http.Header{http.CanonicalHeaderKey(tt.trailer): nil}
				}
				if tt.want == "" {
					check(t, v.Check(r), "", "")
					continue
				}
				err := v.Check(r)
				check(t, err, exchange.HeaderDenied, "")
				if got, want := err.(*exchange.Refusal).Detail, tt.want+" is not allowed"; got != want {
					t.Fatalf("the client is told %q, want %q", got, want)
				}
			}
		})
	}
}
