package proxy

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

func TestProxyStatusSaysWhatWeDid(t *testing.T) {
	flaky := func() string {
		var calls atomic.Int64
		return service(t, func(w http.ResponseWriter, _ *http.Request) {
			if calls.Add(1)%2 == 1 {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			w.Header().Set("Proxy-Status", "inner; next-hop=there")
		})
	}
	well, _ := counted(t)
	fault := func(abort string) string {
		return with("fault: chaos, retry: {maxAttempts: 1}", "fault: {chaos: {enabled: true, abort: "+abort+"}}")
	}
	tests := []struct {
		name, policy, upstream, want string
	}{
		{"an answer that is only passed on", minimal, well, ""},
		{"a refusal", with("authz: nobody", "authz: {nobody: {}}"), well, `sidecar;error=http_request_denied;details="authz/nobody no_allow_rule"`},
		{"no route", strings.Replace(minimal, "name: all,", "name: all, match: {path: /other},", 1), well, `sidecar;error=destination_not_found;details="route/none no_route"`},
		{"an upstream that is not there", with("retry: once", "retry: {once: {maxAttempts: 1}}"), dead(t), `sidecar;error=connection_refused;details="upstream/app upstream_connect"`},
		{"an answer after a retry", minimal, flaky(), `inner; next-hop=there, sidecar;received-status=200;details="retried"`},
		{"a fault", fault("{status: 500}"), well, `sidecar;error=proxy_internal_response;details="fault/chaos fault_abort"`},
		{"a connection that a fault resets", fault("{connection: reset}"), well, `sidecar;error=connection_terminated;details="upstream/app upstream_reset"`},
		{
			"a fault that a retry absorbs",
			with("fault: chaos, retry: patient", "retry: {patient: {maxAttempts: 10, backoff: {base: 0s, max: 0s}}}", "fault: {chaos: {enabled: true, percent: 50, seed: 1, abort: {status: 503}}}"),
			well, `sidecar;received-status=200;details="retried"`,
		},
		{
			"a fallback",
			with("circuitBreaker: quick, fault: chaos", "circuitBreaker: {quick: {consecutiveFailures: 1, fallback: {status: 200}}}", "fault: {chaos: {enabled: true, abort: {status: 500}}}"),
			well, `sidecar;error=destination_unavailable;details="circuitBreaker/quick@app fallback"`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, _ := apply(t, tt.policy, tt.upstream)
			url := listen(t, p)
			var got string
			for i := range 20 { // until the drill has drawn, or the breaker is open
				r, _ := http.NewRequest("GET", url, nil)
				r.Header.Set("X-Request-Id", fmt.Sprint("request-", i))
				resp, err := client(t).Do(r)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				if got = strings.Join(resp.Header["Proxy-Status"], ", "); got == tt.want {
					return
				}
			}
			t.Errorf("Proxy-Status = %s, want %s", got, tt.want)
		})
	}
}
