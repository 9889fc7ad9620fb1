package proxy

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"sidecar/internal/exchange"
)

// BenchmarkDeadline is the cost of the bounds in time of one exchange, with
// what carries them, without and with a deadline of its caller's.
func BenchmarkDeadline(b *testing.B) {
	answers := exchange.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Body: http.NoBody, Request: r}, nil
	})
	rt := deadline(times{5 * time.Second, time.Minute})(answers)
	local := trusted{{Prefix: netip.MustParsePrefix("127.0.0.0/8")}}
	var draining atomic.Bool
	for name, timeout := range map[string]string{"route": "", "caller": "2"} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = "127.0.0.1:1234"
		if timeout != "" {
			r.Header.Set(requestTimeoutHeader, timeout)
		}
		w := httptest.NewRecorder()
		once := func() {
			r := r.WithContext(open(w, r, local, &draining))
			if err := guardOf(r).arrive(0); err != nil {
				b.Error(err)
			}
			resp, err := rt.RoundTrip(r)
			if err != nil {
				b.Error(err)
				return
			}
			resp.Body.Close()
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				once()
			}
		})
		b.Run(name+"/parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(2)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					once()
				}
			})
		})
	}
}
