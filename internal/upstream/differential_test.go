package upstream

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sidecar/internal/exchange"
)

// outcome is all that a caller sees of one call.
type outcome struct {
	Failure         exchange.FailureKind
	Status          int
	Proto, Reason   string
	Header, Trailer http.Header
	Length          int64
	Coding          []string
	Close           bool
	Body, BodyError string
	Hints           []int // the 1xx statuses
}

func observe(u *Upstream, s sent) (o outcome) {
	r := s.WithContext(httptrace.WithClientTrace(s.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, _ textproto.MIMEHeader) error {
			o.Hints = append(o.Hints, code)
			return nil
		},
	}))
	resp, err := u.RoundTrip(r)
	if err != nil {
		o.Failure = "no failure"
		if f, ok := errors.AsType[*exchange.Failure](err); ok {
			o.Failure = f.Kind
		}
		return o
	}
	defer resp.Body.Close()
	o.Status, o.Proto, o.Reason = resp.StatusCode, resp.Proto, resp.Status
	o.Length, o.Coding, o.Close = resp.ContentLength, resp.TransferEncoding, resp.Close
	if o.Header = resp.Header.Clone(); o.Status == http.StatusSwitchingProtocols {
		return o // its body is the connection
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		o.BodyError = err.Error()
	}
	o.Body, o.Trailer = string(body), resp.Trailer
	return o
}

func TestBothTransportsSeeTheSame(t *testing.T) {
	log.SetOutput(io.Discard) // net/http tells of bytes that nobody asked for
	defer log.SetOutput(os.Stderr)
	const ok, hi, chunked = "HTTP/1.1 200 OK\r\n", "Content-Length: 2\r\n\r\nhi", "Transfer-Encoding: chunked\r\n\r\n"
	const open, closes = true, false
	tests := []struct {
		name, method, text string
		open               bool // the upstream keeps the connection
		reused             bool // and so do we
	}{
		{"a length", "GET", ok + hi, open, true},
		{"a length, and the connection ends", "GET", ok + hi, closes, false},
		{"a length of nothing", "GET", ok + "Content-Length: 0\r\n\r\n", open, true},
		{"the same length twice", "GET", ok + "Content-Length: 2\r\n" + hi, open, true},
		{"two lengths", "GET", ok + "Content-Length: 3\r\n" + hi, open, false},
		{"a list of lengths", "GET", ok + "Content-Length: 2, 2\r\n\r\nhi", open, false},
		{"a signed length", "GET", ok + "Content-Length: +2\r\n\r\nhi", open, false},
		{"an empty length", "GET", ok + "Content-Length:\r\n\r\nhi", open, false},
		{"a huge length", "GET", ok + "Content-Length: 99999999999999999999\r\n\r\nhi", open, false},
		{"a body that is too short", "GET", ok + "Content-Length: 9\r\n\r\nhi", closes, false},
		{"bytes after the body", "GET", ok + hi + "more", open, false},
		{"a second response nobody asked for", "GET", ok + hi + ok + hi, open, false},
		{"a body until the end", "GET", ok + "\r\nhi", closes, false},
		{"no body until the end", "GET", ok + "\r\n", closes, false},
		{"chunks", "GET", ok + chunked + "2\r\nhi\r\n0\r\n\r\n", open, true},
		{"chunks with extensions", "GET", ok + chunked + "2;a=b;c=\"d\"\r\nhi\r\n0;e\r\n\r\n", open, true},
		{"chunks with LF alone", "GET", ok + chunked + "2\nhi\r\n0\r\n\r\n", open, false},
		{"chunks and a length", "GET", ok + "Content-Length: 9\r\n" + chunked + "2\r\nhi\r\n0\r\n\r\n", open, true},
		{"chunks in capitals", "GET", ok + "Transfer-Encoding: CHUNKED\r\n\r\n2\r\nhi\r\n0\r\n\r\n", open, true},
		{"chunks said twice", "GET", ok + "Transfer-Encoding: chunked\r\n" + chunked + "0\r\n\r\n", open, false},
		{"another coding before", "GET", ok + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", open, false},
		{"identity", "GET", ok + "Transfer-Encoding: identity\r\n" + hi, open, false},
		{"a chunk of a bad length", "GET", ok + chunked + "2\r\nhi\r\nxyz\r\n", open, false},
		{"a chunk of an endless length", "GET", ok + chunked + strings.Repeat("f", 17) + "\r\nhi", open, false},
		{"a chunk without its end", "GET", ok + chunked + "2\r\nhiho\r\n0\r\n\r\n", open, false},
		{"the end within a chunk", "GET", ok + chunked + "5\r\nhi", closes, false},
		{"the end before the last chunk", "GET", ok + chunked + "2\r\nhi\r\n", closes, false},
		{"the end within the trailers", "GET", ok + chunked + "0\r\nA: b\r\n", closes, false},
		{"trailers", "GET", ok + "Trailer: A, B\r\n" + chunked + "2\r\nhi\r\n0\r\nA: 1\r\n\r\n", open, true},
		{"trailers nobody announced", "GET", ok + chunked + "2\r\nhi\r\n0\r\nA: 1\r\n\r\n", open, true},
		{"a trailer that may not be one", "GET", ok + "Trailer: Content-Length\r\n" + chunked + "0\r\n\r\n", open, false},
		{"malformed trailers", "GET", ok + chunked + "2\r\nhi\r\n0\r\nnonsense\r\n\r\n", open, false},
		{"trailers without end", "GET", ok + chunked + "2\r\nhi\r\n0\r\nA: " + strings.Repeat("x", 2*bufferSize), open, false},
		{"bytes after the chunks", "GET", ok + chunked + "2\r\nhi\r\n0\r\n\r\nmore", open, false},
		{"Connection: close", "GET", ok + "Connection: close\r\n" + hi, open, false},
		{"close among others", "GET", ok + "Connection: X, Close\r\nX: 1\r\n" + hi, open, false},
		{"Connection: keep-alive", "GET", ok + "Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n" + hi, open, true},
		{"HTTP/1.0", "GET", "HTTP/1.0 200 OK\r\n" + hi, open, false},
		{"HTTP/1.0 with keep-alive", "GET", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" + hi, open, true},
		{"HTTP/1.0 with chunks", "GET", "HTTP/1.0 200 OK\r\n" + chunked + "0\r\n\r\n", closes, false},
		{"a later version", "GET", "HTTP/1.2 200 OK\r\n" + hi, open, true},
		{"HTTP/0.9", "GET", "hi", closes, false},
		{"lines that end in LF alone", "GET", strings.ReplaceAll(ok+hi, "\r", ""), open, true},
		{"a folded field", "GET", ok + "A: b\r\n  c\r\n" + hi, open, true},
		{"a folded first field", "GET", ok + " A: b\r\n" + hi, open, false},
		{"a space before the colon", "GET", ok + "A : b\r\n" + hi, open, true},
		{"a field without a name", "GET", ok + ": b\r\n" + hi, open, false},
		{"a field name with a space", "GET", ok + "A B: c\r\n" + hi, open, true},
		{"a NUL in a value", "GET", ok + "A: b\x00c\r\n" + hi, open, false},
		{"a CR in a value", "GET", ok + "A: b\rc\r\n" + hi, open, false},
		{"bytes above ASCII in a value", "GET", ok + "A: \xff\r\n" + hi, open, true},
		{"no reason", "GET", "HTTP/1.1 200\r\n" + hi, open, true},
		{"a status below 100", "GET", "HTTP/1.1 099 Hm\r\n" + hi, open, false},
		{"a status of no class", "GET", "HTTP/1.1 999 Hm\r\n" + hi, open, true},
		{"HEAD with a length", "HEAD", ok + "Content-Length: 9\r\n\r\n", open, true},
		{"HEAD with chunks", "HEAD", ok + chunked, open, true},
		{"HEAD without a length", "HEAD", ok + "\r\n", open, true},
		{"HEAD with a body", "HEAD", ok + hi, open, false},
		{"204", "GET", "HTTP/1.1 204 No Content\r\n\r\n", open, true},
		{"204 with a length", "GET", "HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n", open, true},
		{"204 with a body", "GET", "HTTP/1.1 204 No Content\r\n" + hi, open, false},
		{"204 with chunks", "GET", "HTTP/1.1 204 No Content\r\n" + chunked + "0\r\n\r\n", open, false},
		{"304 with a length", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", open, true},
		{"100 and 103 before", "GET", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + ok + hi, open, true},
		{"199 with a length", "GET", "HTTP/1.1 199 Hm\r\nContent-Length: 2\r\n\r\n" + ok + hi, open, true},
		{"1xx that are too large together", "GET", strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: "+strings.Repeat("x", 1<<10)+"\r\n\r\n", 70) + ok + hi, open, true},
		{"1xx and no more", "GET", "HTTP/1.1 103 Early Hints\r\n\r\n", closes, false},
		{"a 101 nobody asked for", "GET", "HTTP/1.1 101 Switching Protocols\r\n\r\n", open, false},
		{"a head that is too large", "GET", ok + "A: " + strings.Repeat("x", maxResponseHeader) + "\r\n" + hi, open, false},
		{"a head that just fits", "GET", ok + "A: " + strings.Repeat("x", maxResponseHeader-100) + "\r\n" + hi, open, true},
		{"nothing", "GET", "", closes, false},
		{"an empty line before", "GET", "\r\n" + ok + hi, open, false},
		{"the end in the status line", "GET", "HTTP/1.1 2", closes, false},
		{"the end after the status line", "GET", ok, closes, false},
		{"the end in a field", "GET", ok + "Content-Le", closes, false},
		{"the end before the empty line", "GET", ok + "Content-Length: 2\r\n", closes, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var seen []outcome
			eachTransport(t, func(t *testing.T, to maker) {
				var conns atomic.Int32
				gone := make(chan struct{}, 2)
				u := to(t, nil, raw(t, first(tt.text, tt.open, &conns, gone)))
				seen = append(seen, observe(u, request(tt.method, "/", "")))
				if d := u.endpoints[0].direct; d != nil && tt.open {
					if kept := len(d.pool.idle) == 1; kept != tt.reused {
						t.Fatalf("the connection is kept: %v, want %v", kept, tt.reused)
					}
				}
				if !tt.reused {
					<-gone // net/http may close it later
				}
				if o := observe(u, request("GET", "/", "")); o.Body != "second" {
					t.Errorf("the next call gets %+v, want its own answer", o)
				}
				if want := map[bool]int32{true: 1, false: 2}[tt.reused]; conns.Load() != want {
					t.Errorf("%d connections, want %d", conns.Load(), want)
				}
			})
			if diff := cmp.Diff(seen[1], seen[0]); diff != "" {
				t.Errorf("the direct way differs (-standard +direct):\n%s", diff)
			}
		})
	}
}

// first is a script that answers the first request of all with text, and every
// other with a body that says second.
func first(text string, open bool, conns *atomic.Int32, gone chan<- struct{}) script {
	return func(c *net.TCPConn, in *bufio.Reader) {
		one := conns.Add(1) == 1
		defer func() {
			c.Close()
			if one {
				gone <- struct{}{}
			}
		}()
		for n := 1; ; n++ {
			if _, err := readRequest(in); err != nil {
				return
			}
			answer := "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond"
			if one && n == 1 {
				answer = text
			}
			io.WriteString(c, answer)
			if !open && one {
				return
			}
		}
	}
}

// Where the direct way is another one on purpose.
func TestTheDirectWayIsStricter(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
	t.Run("more 1xx than anybody needs", func(t *testing.T) {
		u := to(t, nil, raw(t, answers(strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", maxInterim+1)+ok)))
		if got := observe(u, request("GET", "/", "")); got.Failure != exchange.FailedProtocol {
			t.Errorf("failure = %q after %d, want protocol: net/http has no bound where somebody listens", got.Failure, len(got.Hints))
		}
	})
	t.Run("a 101 nobody asked for has no connection", func(t *testing.T) {
		u := to(t, nil, raw(t, answers("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")))
		resp, err := u.RoundTrip(request("GET", "/", "").Request)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if _, ok := resp.Body.(io.Writer); ok || resp.StatusCode != 101 {
			t.Errorf("status %d, body %T, want 101 that nobody can write to", resp.StatusCode, resp.Body)
		}
	})
}

// spoken is a connection in memory on which text can be read, in parts of
// size, once something was written; then it has ended.
type spoken struct {
	net.Conn
	text  string
	size  int
	asked chan struct{}
	once  sync.Once
	heard []byte
}

func (c *spoken) Write(p []byte) (int, error) {
	c.heard = append(c.heard, p...)
	c.once.Do(func() { close(c.asked) })
	return len(p), nil
}

func (c *spoken) Read(p []byte) (int, error) {
	<-c.asked
	if c.text == "" {
		return 0, io.EOF
	}
	n := copy(p, c.text[:min(c.size, len(c.text))])
	c.text = c.text[n:]
	return n, nil
}

func (c *spoken) Close() error {
	c.once.Do(func() { close(c.asked) })
	return nil
}

func (*spoken) SetDeadline(time.Time) error { return nil }

func FuzzBothTransportsSeeTheSame(f *testing.F) {
	log.SetOutput(io.Discard)
	for _, text := range []string{
		usual,
		"HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nTrailer: A\n\n2;x\r\nhi\r\n0\r\nA: b\r\n\r\n",
		"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.0 200 OK\r\nConnection: keep-alive, X\r\nX: 1\r\n Y\r\n\r\nhi",
		"HTTP/1.1 204 No Content\r\nConnection: close, X\r\nX: 1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
	} {
		for _, size := range []int{1, 1000} {
			f.Add(text, size, false)
			f.Add(text, size, true)
		}
	}
	f.Fuzz(func(t *testing.T, text string, size int, head bool) {
		method := map[bool]string{true: "HEAD", false: "GET"}[head]
		var seen []outcome
		for _, transport := range []string{Direct, Standard} {
			u := to(t, func(c *Config) { c.Transport = transport }, "http://orders:80")
			u.transports.dialTCP = func(context.Context, string, string) (net.Conn, error) {
				return &spoken{text: text, size: max(size, 1), asked: make(chan struct{})}, nil
			}
			seen = append(seen, observe(u, request(method, "/", "")))
		}
		if len(seen[1].Hints) > maxInterim {
			return
		}
		if diff := cmp.Diff(seen[1], seen[0]); diff != "" {
			t.Errorf("the direct way differs after %q (-standard +direct):\n%s", text, diff)
		}
	})
}

func FuzzBothTransportsWriteTheSame(f *testing.F) {
	f.Add("GET", "/a%2Fb?c=d", "orders.example", "X-A", " b\t")
	f.Add("PUT", "*", "[::1]:80", "user-agent", "c")
	f.Add("POST", "/\r\nHost: x", "a\r\nB: c", "A\r\nB", "c\r\nD: e")
	f.Fuzz(func(t *testing.T, method, target, host, name, value string) {
		if len(method)+len(target)+len(host)+len(name)+len(value) > bufferSize/4 {
			return // more than one Write
		}
		var seen [2]exchange.FailureKind
		var heard [2]string
		for i, transport := range []string{Direct, Standard} {
			c := &spoken{text: usual, size: len(usual), asked: make(chan struct{})}
			u := to(t, func(c *Config) { c.Transport = transport }, "http://orders:80")
			u.transports.dialTCP = func(context.Context, string, string) (net.Conn, error) { return c, nil }
			s := request("GET", "/", "")
			s.Method, s.URL.Opaque, s.Host = method, target, host
			s.Header[name] = []string{value}
			seen[i] = observe(u, s).Failure
			heard[i] = inOrder(string(c.heard))
		}
		if heard[0] != heard[1] || seen[0] != seen[1] {
			t.Errorf("direct: %q %q\nstandard: %q %q", heard[0], seen[0], heard[1], seen[1])
		}
	})
}
