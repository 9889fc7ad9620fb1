package upstream

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sidecar/internal/exchange"
)

// records is a script that answers one request, and keeps all of its bytes.
func records(text *string) script {
	return func(c *net.TCPConn, in *bufio.Reader) {
		var all strings.Builder
		if _, err := readRequest(bufio.NewReader(io.TeeReader(in, &all))); err == nil {
			*text = all.String()
			io.WriteString(c, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
		}
	}
}

// inOrder returns the request with its fields sorted by name, but for Host, which
// comes first. Those of one name stay as they are.
func inOrder(text string) string {
	head, body, _ := strings.Cut(text, "\r\n\r\n")
	lines := strings.Split(head, "\r\n")
	if len(lines) > 2 {
		slices.SortStableFunc(lines[2:], func(a, b string) int {
			a, _, _ = strings.Cut(a, ":")
			b, _, _ = strings.Cut(b, ":")
			return strings.Compare(a, b)
		})
	}
	return strings.Join(lines, "\r\n") + "\r\n\r\n" + body
}

func TestBothTransportsWriteTheSame(t *testing.T) {
	with := func(h http.Header) func(*http.Request) { return func(r *http.Request) { r.Header = h } }
	at := func(u url.URL) func(*http.Request) { return func(r *http.Request) { r.URL = &u } }
	tests := []struct {
		name, method, body string
		change             func(*http.Request)
	}{
		{"no fields", "GET", "", nil},
		{"fields in any order", "GET", "", with(http.Header{"X-B": {"2", "1"}, "X-A": {" spaced\t"}, "X-C": {""}, "X-D": nil, "x_e": {"\xff"}})},
		{"fields that begin alike", "GET", "", with(http.Header{
			"X-Forwarded-Proto": {"1"}, "X-Forwarded-Host": {"2"}, "X-Forwarded": {"3"}, "X-Forwarded-For": {"4"},
			"X-Forwar": {"5"}, "X-Forwa": {"6"}, "X-Forwarded-Port": {"7"}, "x-forwarded": {"8"},
		})},
		{"a User-Agent", "GET", "", with(http.Header{"User-Agent": {" curl/8 ", "ignored"}})},
		{"an empty User-Agent", "GET", "", with(http.Header{"User-Agent": {""}})},
		{"a User-Agent of no values", "GET", "", with(http.Header{"User-Agent": nil})},
		{"fields that net/http writes by itself", "POST", "hello", with(http.Header{"Host": {"x"}, "Content-Length": {"7"}})},
		{"a path", "GET", "", at(url.URL{Path: "/ä b", RawQuery: "q=%20"})},
		{"a raw path", "GET", "", at(url.URL{Path: "/a/b", RawPath: "/a%2Fb"})},
		{"a raw path of two slashes", "GET", "", at(url.URL{Path: "//a", RawPath: "//a"})},
		{"no path", "GET", "", at(url.URL{})},
		{"an opaque target", "GET", "", at(url.URL{Opaque: "/a%2Fb;c", RawQuery: "x=1;y"})},
		{"an empty query", "GET", "", at(url.URL{Opaque: "/a", ForceQuery: true})},
		{"an asterisk", "OPTIONS", "", at(url.URL{Opaque: "*"})},
		{"no host", "GET", "", func(r *http.Request) { r.Host = "" }},
		{"a host by number", "GET", "", func(r *http.Request) { r.Host = "[::1]:80" }},
		{"HEAD", "HEAD", "", nil},
		{"POST without a body", "POST", "", nil},
		{"PUT without a body", "PUT", "", func(r *http.Request) { r.Body = http.NoBody }},
		{"DELETE without a body", "DELETE", "", nil},
		{"POST", "POST", "hello", nil},
		{"DELETE with a body", "DELETE", "hello", nil},
		{"GET with a body", "GET", "hello", nil},
		{"a method of nobody", "BREW", "", nil},
		{"a large body", "PATCH", strings.Repeat("x", maxBuffered), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, preserve := range []bool{true, false} {
				var sent [2]string
				var host string
				for i, transport := range []string{Direct, Standard} {
					s := request(tt.method, "/", tt.body)
					if tt.change != nil {
						tt.change(s.Request)
					}
					u := to(t, func(c *Config) { c.Transport, c.PreserveHost = transport, preserve }, raw(t, records(&sent[i])))
					if i == 0 && u.endpoints[0].compose(s.Request, preserve) == nil {
						t.Fatal("it is left to net/http")
					}
					get(t, u, s)
					host = s.attempt.Endpoint
					sent[i] = strings.ReplaceAll(sent[i], host, "HOST")
				}
				if diff := cmp.Diff(inOrder(sent[1]), inOrder(sent[0])); diff != "" {
					t.Errorf("the direct way writes something else (-standard +direct):\n%s", diff)
				}
			}
		})
	}
}

func TestWhatIsOutOfTheOrdinaryIsLeftToNetHTTP(t *testing.T) {
	field := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header[name] = []string{value} }
	}
	tests := map[string]func(*http.Request){
		"an upgrade":                     field("Upgrade", "websocket"),
		"a wait for 100":                 field("Expect", "100-continue"),
		"a Connection field":             field("Connection", "keep-alive"),
		"TE":                             field("Te", "trailers"),
		"a transfer coding by hand":      field("Transfer-Encoding", "chunked"),
		"trailers by hand":               field("Trailer", "A"),
		"a field name with a space":      field("A B", ""),
		"a line break in a value":        field("A", "b\r\nC: d"),
		"a method that is none":          func(r *http.Request) { r.Method = "GET /" },
		"CONNECT":                        func(r *http.Request) { r.Method = "CONNECT" },
		"a body of unknown length":       func(r *http.Request) { r.ContentLength = -1 },
		"a body of no length":            func(r *http.Request) { r.ContentLength = 0 },
		"a body that is large":           func(r *http.Request) { r.ContentLength = maxBuffered + 1 },
		"a length without a body":        func(r *http.Request) { r.Body = nil },
		"trailers":                       func(r *http.Request) { r.Trailer = http.Header{"A": nil} },
		"a wish to close":                func(r *http.Request) { r.Close = true },
		"a line break in the target":     func(r *http.Request) { r.URL.Opaque = "/a\r\nB: c" },
		"a space in the target":          func(r *http.Request) { r.URL.Opaque = "/a b" },
		"a target that looks like a URL": func(r *http.Request) { r.URL.Opaque = "//a" },
		"a host beyond ASCII":            func(r *http.Request) { r.Host = "bücher.example" },
		"a host with a line break":       func(r *http.Request) { r.Host = "a\r\nB: c" },
		"a host with a zone":             func(r *http.Request) { r.Host = "[fe80::1%25en0]" },
	}
	e := to(t, nil, "http://orders:80").endpoints[0]
	for name, change := range tests {
		s := request("POST", "/", "hello")
		if m := e.compose(s.Request, true); m == nil {
			t.Fatal("an ordinary request is left to net/http as well")
		}
		change(s.Request)
		if m := e.compose(s.Request, true); m != nil {
			t.Errorf("%s: it is sent as %q", name, m.text)
		}
	}
	for name, c := range map[string]Config{
		"standard":            config(func(c *Config) { c.Transport = Standard }, "http://orders:80"),
		"h2c":                 config(func(c *Config) { c.Protocol = exchange.H2C }, "http://orders:80"),
		"https":               config(nil, "https://orders:443"),
		"no idle connections": config(func(c *Config) { c.Pool.MaxIdle = 0 }, "http://orders:80"),
	} {
		if New("orders", c, nil, nil).endpoints[0].direct != nil {
			t.Errorf("%s: it is called directly", name)
		}
	}
}

func TestWhatCannotBeSentIsTheClients(t *testing.T) {
	eachTransport(t, func(t *testing.T, to maker) {
		for _, name := range []string{"A", "A B"} {
			s := request("GET", "/", "")
			s.Header[name] = []string{"b\nc"}
			_, err := to(t, nil, raw(t, hangs)).RoundTrip(s.Request)
			if got := kindOf(t, err); got != exchange.FailedClient || s.record.ClientFault() == nil {
				t.Errorf("%q: kind = %q, fault %v, want the client's", name, got, s.record.ClientFault())
			}
		}
	})
}

// deadAfter breaks at the second request, and knows whether that was begun.
type deadAfter struct {
	net.Conn
	part   int // of the second request that is still written
	writes int
}

func (c *deadAfter) Write(p []byte) (int, error) {
	if c.writes++; c.writes == 1 {
		return c.Conn.Write(p)
	}
	c.Close()
	return c.part, syscall.ECONNRESET
}

func TestWhatIsReplayed(t *testing.T) {
	tests := []struct {
		name, method, body, key string
		part                    int
		replayed                bool
		want                    exchange.FailureKind
	}{
		{"nothing was written", "POST", "hello", "", 0, true, ""},
		{"GET", "GET", "", "", 7, true, ""},
		{"POST", "POST", "", "", 7, false, exchange.FailedReset},
		{"POST with a key", "POST", "", "Idempotency-Key", 7, true, ""},
		{"POST with the other key", "POST", "", "X-Idempotency-Key", 7, true, ""},
		{"POST with a key and a body", "POST", "hello", "Idempotency-Key", 7, false, exchange.FailedReset},
		{"GET with a body", "GET", "hello", "", 7, false, exchange.FailedReset},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u := to(t, nil, raw(t, repeats("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")))
			dials := 0
			u.transports.dialTCP = func(ctx context.Context, network, addr string) (net.Conn, error) {
				nc, err := (&net.Dialer{}).DialContext(ctx, network, addr)
				if dials++; dials == 1 {
					nc = &deadAfter{Conn: nc, part: tt.part}
				}
				return nc, err
			}
			get(t, u, request("GET", "/", ""))
			s := request(tt.method, "/", tt.body)
			if tt.key != "" {
				s.Header.Set(tt.key, "1")
			}
			resp, err := u.RoundTrip(s.Request)
			if (s.attempt.Replays == 1) != tt.replayed || (err == nil) != tt.replayed {
				t.Errorf("Replays = %d, error %v, want one: %v", s.attempt.Replays, err, tt.replayed)
			}
			if err == nil {
				resp.Body.Close()
			} else if got := kindOf(t, err); got != tt.want {
				t.Errorf("kind = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestAnAnswerBeforeTheRequestWasReadIsHeard(t *testing.T) {
	eachTransport(t, func(t *testing.T, to maker) {
		u := to(t, nil, raw(t, func(c *net.TCPConn, in *bufio.Reader) {
			in.ReadSlice('\n')
			io.WriteString(c, "HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
			c.CloseWrite()
			io.Copy(io.Discard, in)
		}))
		resp, _ := get(t, u, request("POST", "/", strings.Repeat("x", maxBuffered)))
		if resp.StatusCode != 413 {
			t.Errorf("status = %d, want 413", resp.StatusCode)
		}
	})
}

func TestTheContextEndsABody(t *testing.T) {
	cause := errors.New("nobody listens")
	eachTransport(t, func(t *testing.T, to maker) {
		u := to(t, nil, raw(t, func(c *net.TCPConn, in *bufio.Reader) {
			readRequest(in)
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
			hangs(c, in)
		}))
		ctx, cancel := context.WithCancelCause(t.Context())
		resp, err := u.RoundTrip(request("GET", "/", "").WithContext(ctx))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if _, err := io.ReadFull(resp.Body, make([]byte, 4)); err != nil {
			t.Fatal(err)
		}
		go cancel(cause)
		if _, err := resp.Body.Read(make([]byte, 1)); err != cause {
			t.Errorf("Read = %v, want the cause", err)
		}
	})
}
