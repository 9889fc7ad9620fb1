//go:build !race

package retry

import (
	"bytes"
	"io"
	"net/http"
	"testing"

	"sidecar/internal/exchange"
)

// posted is a request with a body that is sent again and again, to an upstream
// that reads it as a transport does.
func posted(size int) (send func() error) {
	c := policy(func(c *Config) { c.MaxBufferedBody = 64 << 10 })
	buf, body := make([]byte, 4<<10), bytes.NewReader(make([]byte, size))
	answer := &http.Response{StatusCode: 200, Body: http.NoBody}
	rt := New("safe", c, generous(), nil, half).Wrap(exchange.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
		var err error
		for err == nil {
			_, err = r.Body.Read(buf)
		}
		r.Body.Close()
		return answer, nil
	}))
	r := ask("POST", "x")
	r.Body, r.ContentLength = io.NopCloser(body), int64(size)
	return func() error {
		_, _ = body.Seek(0, io.SeekStart)
		_, err := rt.RoundTrip(r)
		return err
	}
}

// The one that it allocates is what a transport may hold on to for longer than
// the call lasts: the request that it is given, and its body.
func TestACallWithABodyAllocatesOnce(t *testing.T) {
	for _, size := range []int{1, 4 << 10, 64 << 10} {
		send := posted(size)
		if got := testing.AllocsPerRun(1000, func() { _ = send() }); got > 1 {
			t.Errorf("a call with %d bytes allocates %v times, want once", size, got)
		}
	}
}

func BenchmarkBody(b *testing.B) {
	for name, size := range map[string]int{"4KiB": 4 << 10, "64KiB": 64 << 10} {
		b.Run(name, func(b *testing.B) {
			send := posted(size)
			b.ReportAllocs()
			for b.Loop() {
				_ = send()
			}
		})
	}
}
