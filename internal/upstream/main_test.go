package upstream

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"sidecar/internal/exchange"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// to returns an upstream with these endpoints; change may be nil.
func to(t testing.TB, change func(*Config), urls ...string) *Upstream {
	t.Helper()
	u := New("orders", config(change, urls...), nil, nil)
	t.Cleanup(u.Close)
	return u
}

// ways are those in which calls go to an http:// endpoint.
var ways = map[string]func(*Config){
	exchange.HTTP1: nil,
	Standard:       func(c *Config) { c.Transport = Standard },
	exchange.H2C:   func(c *Config) { c.Protocol = exchange.H2C },
}

// maker is what to is.
type maker func(t testing.TB, change func(*Config), urls ...string) *Upstream

// eachTransport runs test with upstreams that call directly, and by net/http.
func eachTransport(t *testing.T, test func(t *testing.T, to maker)) {
	t.Helper()
	for _, transport := range []string{Direct, Standard} {
		t.Run(transport, func(t *testing.T) {
			test(t, func(t testing.TB, change func(*Config), urls ...string) *Upstream {
				t.Helper()
				return to(t, func(c *Config) {
					c.Transport = transport
					if change != nil {
						change(c)
					}
				}, urls...)
			})
		})
	}
}

func config(change func(*Config), urls ...string) Config {
	var c Config
	c.SetDefaults()
	for _, url := range urls {
		c.Endpoints = append(c.Endpoints, Endpoint{URL: url, Weight: 1})
	}
	if change != nil {
		change(&c)
	}
	return c
}

// script is one connection of a raw server: it reads requests and writes what
// it likes.
type script func(c *net.TCPConn, requests *bufio.Reader)

// raw serves each connection with the next script, the last one again and
// again, and returns the server's URL.
func raw(t testing.TB, scripts ...script) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ; i++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				scripts[min(i, len(scripts)-1)](c.(*net.TCPConn), bufio.NewReader(c))
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
	return "http://" + l.Addr().String()
}

// answers is a script that answers every request with text, and then closes.
func answers(text string) script {
	return func(c *net.TCPConn, requests *bufio.Reader) {
		if _, err := readRequest(requests); err == nil {
			io.WriteString(c, text)
		}
	}
}

// repeats is a script that answers all requests with text.
func repeats(text string) script {
	return func(c *net.TCPConn, requests *bufio.Reader) {
		for {
			if _, err := readRequest(requests); err != nil {
				return
			}
			io.WriteString(c, text)
		}
	}
}

func readRequest(requests *bufio.Reader) (*http.Request, error) {
	r, err := http.ReadRequest(requests)
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(io.Discard, r.Body)
	return r, err
}

// hangs reads and never answers, until the other side is gone.
func hangs(c *net.TCPConn, requests *bufio.Reader) { io.Copy(io.Discard, requests) }

// handle serves HTTP as net/http does.
func handle(t testing.TB, start func(*httptest.Server), h http.HandlerFunc) *httptest.Server {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	start(srv)
	t.Cleanup(srv.Close)
	return srv
}

func startH2C(srv *httptest.Server) {
	srv.Config.Protocols = new(http.Protocols)
	srv.Config.Protocols.SetUnencryptedHTTP2(true)
	srv.Start()
}

func startTLS(srv *httptest.Server) {
	srv.EnableHTTP2 = true
	srv.StartTLS()
}

// sent is a request with its attempt.
type sent struct {
	*http.Request
	record  *exchange.Record
	attempt *exchange.Attempt
}

func request(method, target, body string) sent {
	s := sent{record: &exchange.Record{ID: "id"}, attempt: &exchange.Attempt{Number: 1}}
	var reader io.Reader
	if body != "" {
		reader = io.NopCloser(strings.NewReader(body)) // nothing that can be rewound
	}
	s.Request = httptest.NewRequest(method, target, reader)
	s.RequestURI = ""
	s.ContentLength = int64(len(body))
	ctx := exchange.With(context.Background(), s.record)
	s.Request = s.WithContext(exchange.WithAttempt(ctx, s.attempt))
	return s
}

// kindOf returns the kind of the Failure that err is.
func kindOf(t *testing.T, err error) exchange.FailureKind {
	t.Helper()
	var f *exchange.Failure
	if !errors.As(err, &f) {
		t.Fatalf("error = %v (%T), want a Failure", err, err)
	}
	return f.Kind
}

// get calls and returns the response with its whole body.
func get(t testing.TB, u *Upstream, s sent) (*http.Response, string) {
	t.Helper()
	resp, err := u.RoundTrip(s.Request)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}
