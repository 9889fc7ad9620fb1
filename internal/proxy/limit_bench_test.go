package proxy

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
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
	p := New(Options{})
	for name, timeout := range map[string]string{"route": "", "caller": "2"} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = "127.0.0.1:1234"
		if timeout != "" {
			r.Header.Set(requestTimeoutHeader, timeout)
		}
		w := httptest.NewRecorder()
		once := func() {
			x := p.open(w, r, local)
			r := x.request(r, x)
			if err := guardOf(r).arrive(0); err != nil {
				b.Error(err)
			}
			fill(x.own.out, r)
			x.call.Context = x.own.traced
			resp, err := rt.RoundTrip(x.own.out)
			if err != nil {
				b.Error(err)
				return
			}
			resp.Body.Close()
			p.keep(x)
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
