package upstream

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"sidecar/internal/exchange"
)

// replies is a connection in memory: after each Write it has text to read.
type replies struct {
	net.Conn
	text string
	left string
}

func (c *replies) Write(p []byte) (int, error) {
	c.left = c.text
	return len(p), nil
}

func (c *replies) Read(p []byte) (int, error) {
	n := copy(p, c.left)
	c.left = c.left[n:]
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (*replies) SetDeadline(time.Time) error { return nil }
func (*replies) Close() error                { return nil }

const usual = "HTTP/1.1 200 OK\r\nDate: Mon, 23 Nov 2026 00:00:00 GMT\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi"

// usually returns a request as it comes out of the seam.
func usually(ctx context.Context) *http.Request {
	s := request("GET", "/", "")
	s.Header = http.Header{
		"Accept": {"*/*"}, "User-Agent": {"test"}, "Via": {"1.1 a"}, "X-Request-Id": {"1"},
		"X-Forwarded-For": {"127.0.0.1"}, "X-Forwarded-Host": {"h"}, "X-Forwarded-Proto": {"http"},
	}
	s.URL.Opaque = "/orders/42"
	return s.WithContext(exchange.WithAttempt(exchange.With(ctx, s.record), s.attempt))
}

func inMemory(t testing.TB, text string) *Upstream {
	u := to(t, nil, "http://orders:80")
	u.transports.dialTCP = func(context.Context, string, string) (net.Conn, error) { return &replies{text: text}, nil }
	return u
}

func roundTrip(t testing.TB, u *Upstream, r *http.Request, buf []byte) {
	resp, err := u.RoundTrip(r)
	if err != nil {
		t.Error(err)
		return
	}
	for err == nil {
		_, err = resp.Body.Read(buf)
	}
	if err != io.EOF {
		t.Error(err)
	}
	resp.Body.Close()
}

// parrot answers requests with a body of n bytes, at the least cost.
func parrot(n int) script {
	return func(c *net.TCPConn, in *bufio.Reader) {
		answer := []byte(usual)
		for {
			line, err := in.ReadSlice('\n')
			if err != nil {
				return
			}
			if len(line) == len("\r\n") {
				in.Discard(n)
				c.Write(answer)
			}
		}
	}
}

func BenchmarkTransports(b *testing.B) {
	body := strings.Repeat("x", 4<<10)
	get, post := raw(b, parrot(0)), raw(b, parrot(len(body)))
	for _, transport := range []string{Direct, Standard} {
		way := func(c *Config) { c.Transport = transport }
		carries(b, transport+"/GET", to(b, way, get), "")
		carries(b, transport+"/POST4K", to(b, way, post), body)
	}
}

// carries measures calls with body, alone and beside twice as many others as
// there are processors.
func carries(b *testing.B, name string, u *Upstream, body string) {
	once := func() func() {
		r, buf := usually(b.Context()), make([]byte, 32<<10)
		if body == "" {
			return func() { roundTrip(b, u, r, buf) }
		}
		r.Method, r.ContentLength = "POST", int64(len(body))
		return func() {
			r.Body = io.NopCloser(strings.NewReader(body))
			roundTrip(b, u, r, buf)
		}
	}
	b.Run(name, func(b *testing.B) {
		call := once()
		b.ReportAllocs()
		for b.Loop() {
			call()
		}
	})
	b.Run(name+"/parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.SetParallelism(2)
		b.RunParallel(func(pb *testing.PB) {
			for call := once(); pb.Next(); {
				call()
			}
		})
	})
}

// BenchmarkOurPart is a direct call without a network.
func BenchmarkOurPart(b *testing.B) {
	u, buf := inMemory(b, usual), make([]byte, 32<<10)
	r := usually(context.Background())
	b.ReportAllocs()
	for b.Loop() {
		roundTrip(b, u, r, buf)
	}
}
