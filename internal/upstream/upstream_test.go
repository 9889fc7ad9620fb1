package upstream

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sidecar/internal/exchange"
)

func TestEndpointsAreCalledInTurn(t *testing.T) {
	eachTransport(t, func(t *testing.T, to maker) {
		var urls, hosts []string
		for range 3 {
			url := raw(t, repeats("HTTP/1.1 204 No Content\r\n\r\n"))
			urls, hosts = append(urls, url), append(hosts, strings.TrimPrefix(url, "http://"))
		}
		u := to(t, nil, urls...)
		var got []string
		for range 6 {
			s := request("GET", "/", "")
			get(t, u, s)
			got = append(got, s.attempt.Endpoint)
		}
		if diff := cmp.Diff(append(hosts, hosts...), got); diff != "" {
			t.Errorf("endpoints (-want +got):\n%s", diff)
		}
		if u.Name() != "orders" {
			t.Errorf("Name = %q, want orders", u.Name())
		}
	})
}

func TestTheRequestIsSentAsItCame(t *testing.T) {
	eachTransport(t, func(t *testing.T, to maker) {
		tests := []struct {
			name     string
			preserve bool
			target   url.URL
			line     string
		}{
			{"the path and the client's host", true, url.URL{Path: "/a"}, "GET /a HTTP/1.1"},
			{"the raw target", true, url.URL{Opaque: "/a%2Fb", RawQuery: "x=1;y", Path: "/a/b"}, "GET /a%2Fb?x=1;y HTTP/1.1"},
			{"the endpoint's host", false, url.URL{Path: "/a"}, "GET /a HTTP/1.1"},
		}
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				var line, host string
				server := raw(t, func(c *net.TCPConn, in *bufio.Reader) {
					line, _ = textproto.NewReader(in).ReadLine()
					h, _ := textproto.NewReader(in).ReadMIMEHeader()
					host = h.Get("Host")
					io.WriteString(c, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
				})
				s := request("GET", "/", "")
				s.Host, s.URL = "shop.example", &tt.target
				before, url, header := *s.Request, *s.URL, s.Header.Clone()
				resp, _ := get(t, to(t, func(c *Config) { c.PreserveHost = tt.preserve }, server), s)
				wantHost := "shop.example"
				if !tt.preserve {
					wantHost = s.attempt.Endpoint
				}
				if line != tt.line || host != wantHost {
					t.Errorf("sent %q to %q, want %q to %q", line, host, tt.line, wantHost)
				}
				if s.Host != before.Host || *s.URL != url || !cmp.Equal(s.Header, header) {
					t.Errorf("the request given was changed: %+v", s.Request)
				}
				if resp.Request != s.Request {
					t.Error("the response does not belong to the request given")
				}
			})
		}
	})
}

// once answers one request, and drops the connection when it has read another.
func once(c *net.TCPConn, in *bufio.Reader) {
	if _, err := readRequest(in); err == nil {
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		readRequest(in)
	}
}

func TestReplaysOfTheTransportAreCounted(t *testing.T) {
	eachTransport(t, func(t *testing.T, to maker) {
		tests := []struct {
			method  string
			replays int
			failed  bool
		}{
			{"GET", 1, false},
			{"POST", 0, true},
		}
		for _, tt := range tests {
			t.Run(tt.method, func(t *testing.T) {
				u := to(t, nil, raw(t, once))
				get(t, u, request("GET", "/", ""))
				s := request(tt.method, "/", "")
				resp, err := u.RoundTrip(s.Request)
				if got := err != nil; got != tt.failed {
					t.Errorf("error = %v, want one: %v", err, tt.failed)
				}
				if err == nil {
					resp.Body.Close()
				}
				if s.attempt.Replays != tt.replays {
					t.Errorf("Replays = %d, want %d", s.attempt.Replays, tt.replays)
				}
			})
		}
	})
}

func TestAReplayThatIsNotSentMayHaveBeenSeenBefore(t *testing.T) {
	eachTransport(t, func(t *testing.T, to maker) {
		type dialer = func(context.Context, string, string) (net.Conn, error)
		for name, redial := range map[string]func(dialer) dialer{
			"the endpoint refuses": func(dialer) dialer {
				return func(context.Context, string, string) (net.Conn, error) {
					return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
				}
			},
			"the connection is dead": dead,
		} {
			t.Run(name, func(t *testing.T) {
				u := to(t, nil, raw(t, once))
				get(t, u, request("GET", "/", ""))
				u.transports.dialTCP = redial((&net.Dialer{}).DialContext)
				_, err := u.RoundTrip(request("GET", "/", "").Request)
				if got := kindOf(t, err); got != exchange.FailedReset {
					t.Errorf("kind = %q, want reset: the first connection took the request (%v)", got, err)
				}
			})
		}
	})
}

func TestTracesAreKept(t *testing.T) {
	standard := func(c *Config) { c.Transport = Standard } // the direct way tells of 1xx alone
	u := to(t, standard, raw(t, answers("HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")))
	var hints, conns int
	s := request("GET", "/", "")
	s.Request = s.WithContext(httptrace.WithClientTrace(s.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, h textproto.MIMEHeader) error { hints = code; return nil },
		GotConn:        func(httptrace.GotConnInfo) { conns++ },
	}))
	get(t, u, s)
	if hints != 103 || conns != 1 {
		t.Errorf("hooks saw %d and %d connections, want 103 and 1", hints, conns)
	}
}

func TestWhatTheUpstreamAnswersIsPassed(t *testing.T) {
	eachTransport(t, func(t *testing.T, to maker) {
		tests := []struct {
			name, method, text string
			status             int
			length             int64
			body               string
			trailer            http.Header
		}{
			{"HEAD tells a length without a body", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 200, 5, "", nil},
			{"204", "GET", "HTTP/1.1 204 No Content\r\n\r\n", 204, 0, "", nil},
			{"304", "GET", "HTTP/1.1 304 Not Modified\r\nEtag: \"x\"\r\n\r\n", 304, 0, "", nil},
			{"a status of nobody", "GET", "HTTP/1.1 799 Hm\r\nContent-Length: 2\r\n\r\nhi", 799, 2, "hi", nil},
			{"trailers", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Sum\r\n\r\n2\r\nhi\r\n0\r\nSum: 7\r\n\r\n", 200, -1, "hi", http.Header{"Sum": {"7"}}},
			{"compressed bytes as they are", "GET", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nxx", 200, 2, "xx", nil},
			{"what follows a 100", "GET", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", 201, 0, "", nil},
		}
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				u := to(t, nil, raw(t, repeats(tt.text)))
				for range 2 {
					resp, body := get(t, u, request(tt.method, "/", ""))
					if resp.StatusCode != tt.status || resp.ContentLength != tt.length || body != tt.body {
						t.Errorf("got %d, %d bytes, %q; want %d, %d, %q", resp.StatusCode, resp.ContentLength, body, tt.status, tt.length, tt.body)
					}
					if diff := cmp.Diff(tt.trailer, resp.Trailer); diff != "" {
						t.Errorf("trailer (-want +got):\n%s", diff)
					}
				}
				if got := u.InFlight(); got != 0 {
					t.Errorf("InFlight = %d, want 0", got)
				}
			})
		}
	})
}

func TestABodyWaitsForContinue(t *testing.T) {
	for _, answer := range []string{"HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 417 Expectation Failed\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"} {
		var early, body int
		u := to(t, nil, raw(t, func(c *net.TCPConn, in *bufio.Reader) {
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			early = in.Buffered()
			io.WriteString(c, answer)
			if strings.Contains(answer, "100") {
				text, _ := io.ReadAll(r.Body)
				body = len(text)
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			}
		}))
		s := request("POST", "/", "hello")
		s.Header.Set("Expect", "100-continue")
		s.ContentLength = 5
		resp, _ := get(t, u, s)
		if early != 0 {
			t.Errorf("%d bytes came before %q", early, answer)
		}
		if want := map[int]int{200: 5, 417: 0}[resp.StatusCode]; body != want {
			t.Errorf("status %d: body of %d bytes, want %d", resp.StatusCode, body, want)
		}
	}
}

func TestConnectionsAreKeptAsThePoolSays(t *testing.T) {
	eachTransport(t, func(t *testing.T, to maker) {
		for _, idle := range []int{0, 1} {
			var mu sync.Mutex
			conns := map[string]bool{}
			srv := handle(t, (*httptest.Server).Start, func(_ http.ResponseWriter, r *http.Request) {
				mu.Lock()
				defer mu.Unlock()
				conns[r.RemoteAddr] = true
			})
			u := to(t, func(c *Config) { c.Pool.MaxIdle = idle }, srv.URL)
			for range 3 {
				get(t, u, request("GET", "/", ""))
			}
			if want := map[int]int{0: 3, 1: 1}[idle]; len(conns) != want {
				t.Errorf("maxIdle %d: %d connections, want %d", idle, len(conns), want)
			}
		}
	})
}

func TestARetiredUpstreamClosesItsConnectionsAfterTheLastCall(t *testing.T) {
	for _, protocol := range []string{exchange.HTTP1, Standard, exchange.H2C} {
		t.Run(protocol, func(t *testing.T) {
			closed := make(chan struct{}, 10)
			finish := make(chan struct{})
			srv := handle(t, func(srv *httptest.Server) {
				srv.Config.ConnState = func(_ net.Conn, state http.ConnState) {
					if state == http.StateClosed {
						closed <- struct{}{}
					}
				}
				if protocol == exchange.H2C {
					startH2C(srv)
				} else {
					srv.Start()
				}
			}, func(w http.ResponseWriter, r *http.Request) {
				io.WriteString(w, "begin")
				http.NewResponseController(w).Flush()
				<-finish
				io.WriteString(w, "end")
			})
			u := New("orders", config(ways[protocol], srv.URL), nil, nil)
			resp, err := u.RoundTrip(request("GET", "/", "").Request)
			if err != nil {
				t.Fatal(err)
			}
			u.Close()
			close(finish)
			body, err := io.ReadAll(resp.Body)
			if string(body) != "beginend" || err != nil {
				t.Errorf("body = %q, %v, want all of it", body, err)
			}
			select {
			case <-closed:
				t.Error("the connection was closed under a call")
			default:
			}
			resp.Body.Close()
			<-closed

			get(t, u, request("GET", "/", "")) // a straggler is served
			<-closed
		})
	}
}

// trusting returns an upstream that trusts srv's certificate.
func trusting(t *testing.T, srv *httptest.Server) *Upstream {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	c := config(nil, srv.URL)
	u := newUpstream("orders", c, &transports{config: c, tls: &tls.Config{RootCAs: roots}})
	t.Cleanup(u.Close)
	return u
}

func TestTLSEndpointsNegotiate(t *testing.T) {
	answer := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Hop", "1")
		if r.ProtoMajor == 1 {
			w.Header().Set("Connection", "close, x-hop")
		}
		io.WriteString(w, r.Proto)
	}
	for want, start := range map[string]func(*httptest.Server){
		"HTTP/2.0": startTLS,
		"HTTP/1.1": (*httptest.Server).StartTLS,
	} {
		resp, got := get(t, trusting(t, handle(t, start, answer)), request("GET", "/", ""))
		if got != want {
			t.Errorf("protocol = %s, want %s", got, want)
		}
		if hop := resp.Header.Get("X-Hop") != ""; hop != (want == "HTTP/2.0") {
			t.Errorf("%s: X-Hop passed = %v", want, hop)
		}
	}
}

// echo switches to a protocol that sends back what it gets.
func echo(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") == "" {
		io.WriteString(w, "no upgrade, "+r.Proto)
		return
	}
	c, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotImplemented)
		return
	}
	defer c.Close()
	fmt.Fprintf(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade, X-Hop\r\nUpgrade: %s\r\nX-Hop: 1\r\n\r\n", r.Header.Get("Upgrade"))
	rw.Flush()
	io.Copy(c, rw)
}

func TestAnUpgradeGoesOverHTTP1(t *testing.T) {
	upstreams := map[string]func(t *testing.T) *Upstream{
		"http":                 func(t *testing.T) *Upstream { return to(t, nil, handle(t, (*httptest.Server).Start, echo).URL) },
		"https that speaks h2": func(t *testing.T) *Upstream { return trusting(t, handle(t, startTLS, echo)) },
	}
	for name, upstream := range upstreams {
		for _, protocol := range []string{"websocket", "echo"} {
			t.Run(protocol+" over "+name, func(t *testing.T) {
				u := upstream(t)
				get(t, u, request("GET", "/", "")) // h2 is known to work
				s := request("GET", "/", "")
				s.Header.Set("Connection", "Upgrade")
				s.Header.Set("Upgrade", protocol)
				resp, err := u.RoundTrip(s.Request)
				if err != nil {
					t.Fatal(err)
				}
				if resp.StatusCode != 101 || resp.Header.Get("Upgrade") != protocol || resp.Header.Get("Connection") == "" {
					t.Errorf("got %d %v, want 101 with Connection and Upgrade", resp.StatusCode, resp.Header)
				}
				if resp.Header.Get("X-Hop") != "" {
					t.Error("X-Hop passed, which Connection names")
				}
				conn, ok := resp.Body.(io.ReadWriteCloser)
				if !ok {
					t.Fatalf("body is a %T, want an io.ReadWriteCloser", resp.Body)
				}
				io.WriteString(conn, "hello")
				if err := conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
					t.Errorf("CloseWrite: %v", err)
				}
				if got, err := io.ReadAll(conn); string(got) != "hello" || err != nil {
					t.Errorf("echo = %q, %v, want hello", got, err)
				}
				if got := u.InFlight(); got != 1 {
					t.Errorf("InFlight = %d, want 1", got)
				}
				conn.Close()
				if got := u.InFlight(); got != 0 {
					t.Errorf("InFlight = %d, want 0", got)
				}
			})
		}
	}
}

func TestH2CIgnoresAnUpgrade(t *testing.T) {
	u := to(t, func(c *Config) { c.Protocol = exchange.H2C }, handle(t, startH2C, echo).URL)
	s := request("GET", "/", "")
	s.Header.Set("Connection", "keep-alive, upgrade")
	s.Header.Set("Upgrade", "websocket")
	if _, got := get(t, u, s); got != "no upgrade, HTTP/2.0" {
		t.Errorf("answer = %q, want one without upgrade", got)
	}
	if s.Header.Get("Upgrade") == "" {
		t.Error("the request given was changed")
	}
}

func TestAnUpstreamIsSafeForConcurrentUse(t *testing.T) {
	eachTransport(t, func(t *testing.T, to maker) {
		u := to(t, nil, raw(t, once), raw(t, repeats("HTTP/1.1 200 OK\r\nConnection: keep-alive, X\r\nX: 1\r\nContent-Length: 2\r\n\r\nhi")))
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 50 {
					resp, err := u.RoundTrip(request("GET", "/", "").Request)
					if err == nil {
						io.Copy(io.Discard, resp.Body)
						resp.Body.Close()
					}
					u.InFlight()
				}
			})
		}
		wg.Go(u.Close)
		wg.Wait()
		if got := u.InFlight(); got != 0 {
			t.Errorf("InFlight = %d, want 0", got)
		}
	})
}

func BenchmarkRoundTrip(b *testing.B) {
	u := to(b, nil, raw(b, repeats("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")))
	for name, rt := range map[string]http.RoundTripper{"upstream": u, "bareTransport": u.endpoints[0].transport} {
		once := func() func() {
			r := request("GET", "/", "").Request
			if rt != u {
				r.URL.Scheme, r.URL.Host = "http", u.endpoints[0].host
			}
			return func() {
				resp, err := rt.RoundTrip(r)
				if err != nil {
					b.Error(err)
					return
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
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
}
