package proxy

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sidecar/internal/exchange"
)

// script is an upstream that reads the head of a request, says its lines, and
// hangs up.
func script(t testing.TB, lines string) string {
	t.Helper()
	return raw(t, func(c net.Conn) {
		r := bufio.NewReader(c)
		if _, err := http.ReadRequest(r); err != nil {
			return
		}
		_, _ = io.WriteString(c, strings.ReplaceAll(lines, "\n", "\r\n"))
	})
}

// raw is an upstream of which each connection is handled by f, and then
// closed.
func raw(t testing.TB, f func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				f(c)
			}()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return "http://" + l.Addr().String()
}

// dead returns the URL of an upstream that nobody is at.
func dead(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "http://" + l.Addr().String()
}

// reset closes c so that its peer sees a reset, not an end.
func reset(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0) }

func TestUpstreamMisbehaviourIsTheUpstreams(t *testing.T) {
	tests := []struct {
		name, url string
		status    int
		reason    exchange.Reason
	}{
		{"dead", dead(t), 502, exchange.UpstreamConnect},
		{"hangs up without a word", script(t, ""), 502, exchange.UpstreamReset},
		{"resets", raw(t, func(c net.Conn) { _, _ = http.ReadRequest(bufio.NewReader(c)); reset(c) }), 502, exchange.UpstreamReset},
		{"talks garbage", script(t, "SSH-2.0-OpenSSH_9.9\n\n"), 502, exchange.UpstreamProtocol},
		{"answers with a bad header", script(t, "HTTP/1.1 200 OK\nno colon here\n\n"), 502, exchange.UpstreamProtocol},
		{"answers with a bad length", script(t, "HTTP/1.1 200 OK\nContent-Length: banana\n\n"), 502, exchange.UpstreamProtocol},
		{"hangs up within the head", script(t, "HTTP/1.1 200 OK\nContent-"), 502, exchange.UpstreamReset},
		{"answers with a status that is none", script(t, "HTTP/1.1 099 Odd\nContent-Length: 2\n\nok"), 502, exchange.UpstreamProtocol},
		{"switches protocols unasked", script(t, "HTTP/1.1 101 Switching Protocols\nConnection: Upgrade\nUpgrade: x\n\n"), 502, exchange.UpstreamProtocol},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, saw := apply(t, minimal, tt.url)
			resp, text := get(t, listen(t, p)+"/")
			var doc struct {
				Type, Title, Reason, RequestID, Detail string
				Status                                 int
			}
			if err := json.Unmarshal([]byte(text), &doc); err != nil {
				t.Fatalf("the answer is no problem document: %q", text)
			}
			e := saw.next(t)
			if resp.StatusCode != tt.status || doc.Status != tt.status || doc.Reason != string(tt.reason) || e.Reason != tt.reason {
				t.Errorf("status %d, %+v, record %q, want %d %s", resp.StatusCode, doc, e.Reason, tt.status, tt.reason)
			}
			if resp.Header.Get("Content-Type") != "application/problem+json" || doc.RequestID != e.ID || doc.RequestID != resp.Header.Get("X-Request-Id") {
				t.Errorf("header %v, document %+v, want a problem document with the request id %s", resp.Header, doc, e.ID)
			}
			if host := strings.TrimPrefix(tt.url, "http://"); strings.Contains(text, host) {
				t.Errorf("the answer tells of the upstream's address: %s", text)
			}
		})
	}
}

func TestABodyThatBreaksIsNeverSilentlyShort(t *testing.T) {
	tests := map[string]string{
		"a length that is not reached": "HTTP/1.1 200 OK\nContent-Length: 100\n\nshort",
		"chunks without an end":        "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n5\nshort\n",
		"a chunk that is none":         "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n5\nshort\nbanana\n",
	}
	for name, lines := range tests {
		t.Run(name, func(t *testing.T) {
			p, saw := apply(t, minimal, script(t, lines))
			resp, err := client(t).Get(listen(t, p))
			if err == nil {
				defer resp.Body.Close()
				_, err = io.ReadAll(resp.Body)
			}
			if err == nil {
				t.Error("the client reads a whole answer, want an error")
			}
			e := saw.next(t)
			if e.Status != 200 || e.Reason != exchange.UpstreamBody {
				t.Errorf("status %d, reason %q, want 200 and upstream_body", e.Status, e.Reason)
			}
			if s := p.Snapshot().Breakers()[0].Status(); s.Failures != 0 {
				t.Errorf("the breaker counts %d failures, want none: the outcome was known at the headers", s.Failures)
			}
		})
	}
}

func TestClientMisbehaviourIsTheClients(t *testing.T) {
	tests := []struct {
		name, say string
		status    int
		reason    exchange.Reason
	}{
		{"a bad chunk", "POST / HTTP/1.1\nHost: h\nTransfer-Encoding: chunked\n\n5\nhello\nbanana\n", 400, exchange.ClientBody},
		{"a short body", "POST / HTTP/1.1\nHost: h\nContent-Length: 100\n\nshort", 400, exchange.ClientBody},
		{"a declared overrun", "POST / HTTP/1.1\nHost: h\nContent-Length: 99999\n\n", 413, exchange.BodyTooLarge},
		{"an undeclared overrun", "POST / HTTP/1.1\nHost: h\nTransfer-Encoding: chunked\n\n7d0\n" + strings.Repeat("x", 2000), 413, exchange.BodyTooLarge},
		{"an upgrade to what is no protocol", "GET / HTTP/1.1\nHost: h\nConnection: Upgrade\nUpgrade: \xff\n\n", 400, exchange.HeaderDenied},
		{"an upgrade with a tab", "GET / HTTP/1.1\nHost: h\nConnection: Upgrade\nUpgrade: web\tsocket\n\n", 400, exchange.HeaderDenied},
		{"a host that is none", "GET http://%C3%A4.test/ HTTP/1.1\nHost: h\n\n", 400, exchange.HeaderDenied},
		{"CONNECT", "CONNECT h:443 HTTP/1.1\nHost: h\n\n", 405, exchange.MethodNotAllowed},
		{"TRACE", "TRACE / HTTP/1.1\nHost: h\n\n", 405, exchange.MethodNotAllowed},
		{"OPTIONS *", "OPTIONS * HTTP/1.1\nHost: h\n\n", 400, exchange.PathAmbiguous},
		{"a target that is no http URL", "GET mailto:foo HTTP/1.1\nHost: h\n\n", 400, exchange.PathAmbiguous},
		{"a path that climbs", "GET /a/../b HTTP/1.1\nHost: h\n\n", 400, exchange.PathAmbiguous},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var calls atomic.Int64
			up := service(t, func(w http.ResponseWriter, r *http.Request) {
				calls.Add(1)
				if _, err := io.Copy(io.Discard, r.Body); err != nil {
					return
				}
				w.WriteHeader(http.StatusOK)
			})
			p, saw := apply(t, with("validation: small", "validation: {small: {maxBody: 1KiB}}"), up)
			c := dial(t, listen(t, p))
			c.say(tt.say)
			_ = c.Conn.(*net.TCPConn).CloseWrite()
			resp := c.answer(t, "POST")
			var doc struct{ Reason string }
			_ = json.Unmarshal([]byte(body(t, resp)), &doc)
			e := saw.next(t)
			if resp.StatusCode != tt.status || doc.Reason != string(tt.reason) || e.Reason != tt.reason {
				t.Errorf("status %d, reason %q, record %q, want %d %s", resp.StatusCode, doc.Reason, e.Reason, tt.status, tt.reason)
			}
			if tt.status == 405 && resp.Header.Get("Allow") == "" {
				t.Error("405 without Allow")
			}
			if calls.Load() > 1 {
				t.Errorf("the upstream is called %d times, want no repeat", calls.Load())
			}
			s := p.Snapshot().Breakers()[0].Status()
			if s.Failures != 0 {
				t.Errorf("the breaker counts %d failures, want none", s.Failures)
			}
		})
	}
}

func TestHeadsThatNetHTTPRefusesNeverReachThePolicy(t *testing.T) {
	p, saw := apply(t, minimal, dead(t))
	url := listen(t, p)
	for name, say := range map[string]string{
		"two lengths that differ": "POST / HTTP/1.1\nHost: h\nContent-Length: 1\nContent-Length: 2\n\nx",
		"no host":                 "GET / HTTP/1.1\n\n",
		"a space before a colon":  "GET / HTTP/1.1\nHost: h\nX-A : 1\n\n",
	} {
		c := dial(t, url)
		c.say(say)
		if resp := c.answer(t, "GET"); resp.StatusCode != 400 {
			t.Errorf("%s: %d, want 400", name, resp.StatusCode)
		}
	}
	if len(saw.ends) != 0 {
		t.Errorf("%d of them are exchanges, want none", len(saw.ends))
	}
}

func TestALengthBesideChunksIsForwardedOnce(t *testing.T) {
	up := service(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%q cl=%q te=%q", b, r.Header["Content-Length"], r.TransferEncoding)
	})
	p, _ := apply(t, minimal, up)
	c := dial(t, listen(t, p))
	c.say("POST / HTTP/1.1\nHost: h\nContent-Length: 3\nTransfer-Encoding: chunked\nConnection: close\n\n5\nhello\n0\n\n")
	if got, want := body(t, c.answer(t, "POST")), `"hello" cl=[] te=["chunked"]`; got != want {
		t.Errorf("the upstream sees %s, want %s", got, want)
	}
}

func TestAClientThatLeavesIs499AndNobodysFailure(t *testing.T) {
	arrived := make(chan struct{})
	up := service(t, func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
	})
	p, saw := apply(t, minimal, up)
	c := dial(t, listen(t, p))
	c.say("GET / HTTP/1.1\nHost: h\n\n")
	<-arrived
	c.Close()
	e := saw.next(t)
	if e.Status != exchange.StatusClientClosed || e.Reason != exchange.ClientClosed || e.Attempts != 1 {
		t.Errorf("status %d, reason %q, %d attempts, want 499, client_closed, 1", e.Status, e.Reason, e.Attempts)
	}
	if s := p.Snapshot().Breakers()[0].Status(); s.Failures != 0 || s.Requests != 0 {
		t.Errorf("the breaker counts %+v, want nothing", s)
	}
}

func TestAClientThatLeavesMidAnswerFreesTheUpstream(t *testing.T) {
	gone := make(chan struct{})
	up := service(t, func(w http.ResponseWriter, r *http.Request) {
		defer close(gone)
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	})
	p, saw := apply(t, minimal, up)
	c := dial(t, listen(t, p))
	c.say("GET / HTTP/1.1\nHost: h\n\n")
	_ = c.answer(t, "GET")
	c.Close()
	<-gone
	if e := saw.next(t); e.Status != 200 || e.Reason != exchange.ClientClosed {
		t.Errorf("status %d, reason %q, want 200 and client_closed", e.Status, e.Reason)
	}
}

// piped is a listener at which the ends of pipes arrive. They are connections
// in a bubble, where no load makes a part of an answer late.
type piped chan net.Conn

func (p piped) Accept() (net.Conn, error) {
	if c, ok := <-p; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}
func (piped) Close() error   { return nil }
func (piped) Addr() net.Addr { return &net.TCPAddr{} }

// zeros is a body without end. A length is declared all the same: ReverseProxy
// flushes any other by a timer, which waits in a way that a bubble cannot know.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// A client that stops reading is cut, and the time it took is its own.
func TestAClientThatDoesNotReadIsCut(t *testing.T) {
	endless := func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(zeros{}), ContentLength: 1 << 40, Request: r}, nil
	}
	inBubble(t, timed("5s", "200ms"), endless, func(t *testing.T, p *Proxy, saw *seen) {
		clients := make(piped, 1)
		server := &http.Server{Handler: p, ErrorLog: log.New(io.Discard, "", 0)}
		defer server.Close()
		defer close(clients)
		go func() { _ = server.Serve(clients) }()
		c, here := net.Pipe()
		defer c.Close()
		clients <- here
		start := time.Now()
		fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		e := saw.next(t) // it reads nothing
		d, ok := e.noted(exchange.StreamIdle)
		if !ok || e.Reason != exchange.StreamIdle || d.Kind != exchange.ByClient {
			t.Errorf("reason %q, decisions %+v, want stream_idle by the client", e.Reason, e.Decisions)
		}
		if took := time.Since(start); took != 200*time.Millisecond {
			t.Errorf("it took %v, want 200ms", took)
		}
	})
}

func TestASlowUploadIs408OnARealSocket(t *testing.T) {
	up := service(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	text := strings.Replace(minimal, "name: all,", "name: all, timeout: 200ms,", 1)
	for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(proto, func(t *testing.T) {
			p, saw := apply(t, text, up)
			pr, pw := io.Pipe()
			defer pw.Close()
			go func() { _, _ = pw.Write([]byte("a beginning, and no end")) }()
			r, _ := http.NewRequest("POST", listen(t, p), pr)
			c := client(t)
			if proto == "HTTP/2.0" {
				c = h2cClient(t)
			}
			resp, err := c.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if e := saw.next(t); resp.StatusCode != 408 || e.Reason != exchange.ClientTimeout {
				t.Errorf("status %d, reason %q, want 408 client_timeout", resp.StatusCode, e.Reason)
			}
		})
	}
}

func h2cClient(t testing.TB) *http.Client {
	t.Helper()
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func TestH2CInAndOut(t *testing.T) {
	up := service(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Proto) })
	for protocol, want := range map[string]string{"http1": "HTTP/1.1", "h2c": "HTTP/2.0"} {
		text := strings.Replace(minimal, "endpoints:", "protocol: "+protocol+", endpoints:", 1)
		p, _ := apply(t, text, up)
		resp, err := h2cClient(t).Get(listen(t, p))
		if err != nil {
			t.Fatal(err)
		}
		if got := body(t, resp); resp.ProtoMajor != 2 || got != want {
			t.Errorf("%s: HTTP/%d in, %s out, want HTTP/2 in, %s out", protocol, resp.ProtoMajor, got, want)
		}
	}
}

// What is left of a body that nobody reads neither harms the connection nor is
// taken for the next request (https://github.com/golang/go/issues/68560).
func TestABodyThatNobodyReadsLeavesItsConnectionWhole(t *testing.T) {
	early := script(t, "HTTP/1.1 200 OK\nContent-Length: 5\nConnection: close\n\nearly")
	for name, text := range map[string]string{
		"refused by a gate":       with("authz: nobody", "authz: {nobody: {}}"),
		"answered early upstream": minimal,
	} {
		t.Run(name, func(t *testing.T) {
			var noise syncLog
			p, _ := apply(t, text, early, func(o *Options) { o.ErrorLog = log.New(&noise, "", 0) })
			s := httptest.NewUnstartedServer(p)
			s.Config.ErrorLog = log.New(&noise, "", 0)
			s.Start()
			defer s.Close()
			c := dial(t, s.URL)
			for range 3 {
				c.say("POST / HTTP/1.1\nHost: h\nContent-Length: 10\n\n01234")
				first := c.answer(t, "POST")
				text := body(t, first)
				c.say("56789")
				if first.StatusCode != 200 && first.StatusCode != 403 || text == "" {
					t.Fatalf("status %d %q, want the answer before the body has ended", first.StatusCode, text)
				}
			}
			if noise.String() != "" {
				t.Errorf("the server says: %s", noise.String())
			}
		})
	}
}

// syncLog is a log that may be written and read at once.
type syncLog struct {
	mu   sync.Mutex // guards text
	text strings.Builder
}

func (l *syncLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *syncLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// A panic of our own is one exchange's failure, with a reason, and no more.
func TestAPanicIsOneExchangesFailure(t *testing.T) {
	p, saw := apply(t, minimal, "http://127.0.0.1:1", func(o *Options) {
		o.Transport = exchange.RoundTripFunc(func(*http.Request) (*http.Response, error) { panic("a bug") })
	})
	url := listen(t, p)
	if _, err := client(t).Get(url); err == nil {
		t.Error("the client gets an answer, want its connection cut")
	}
	if e := saw.next(t); e.Status != 500 || e.Reason != exchange.InternalError {
		t.Errorf("status %d, reason %q, want 500 internal_error", e.Status, e.Reason)
	}
	if p.InFlight() != 0 {
		t.Error("the exchange is still in flight")
	}
}
