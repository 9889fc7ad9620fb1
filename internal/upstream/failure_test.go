package upstream

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"sidecar/internal/exchange"
)

// resets breaks the connection so that the other side is told.
func resets(c *net.TCPConn, requests *bufio.Reader) {
	if _, err := readRequest(requests); err == nil {
		c.SetLinger(0)
	}
}

func TestFailuresTellWhatHappened(t *testing.T) {
	eachTransport(t, func(t *testing.T, to maker) {
		tests := []struct {
			name   string
			server script
			want   exchange.FailureKind
		}{
			{"closed after the request", answers(""), exchange.FailedReset},
			{"reset after the request", resets, exchange.FailedReset},
			{"closed in the status line", answers("HTTP/1.1 20"), exchange.FailedReset},
			{"closed in the head", answers("HTTP/1.1 200 OK\r\nContent-"), exchange.FailedReset},
			{"no HTTP", answers("220 mail.example.com ESMTP\r\n\r\n"), exchange.FailedProtocol},
			{"an unknown version", answers("HTTP/x 200 OK\r\n\r\n"), exchange.FailedProtocol},
			{"a status of two digits", answers("HTTP/1.1 20 OK\r\n\r\n"), exchange.FailedProtocol},
			{"a field without a colon", answers("HTTP/1.1 200 OK\r\nnonsense\r\n\r\n"), exchange.FailedProtocol},
			{"two lengths", answers("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"), exchange.FailedProtocol},
			{"a length that is none", answers("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"), exchange.FailedProtocol},
			{"an unknown transfer coding", answers("HTTP/1.1 200 OK\r\nTransfer-Encoding: zip\r\n\r\n"), exchange.FailedProtocol},
			{"a head without end", answers("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 2*maxResponseHeader)), exchange.FailedProtocol},
			{"interim responses without end", answers(strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", maxResponseHeader/10)), exchange.FailedProtocol},
		}
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				u := to(t, nil, raw(t, tt.server))
				_, err := u.RoundTrip(request("POST", "/?token=secret", "hello").Request)
				if got := kindOf(t, err); got != tt.want {
					t.Errorf("kind = %q, want %q (%v)", got, tt.want, err)
				}
				if text := err.Error(); strings.Contains(text, "secret") || len(text) > 200 {
					t.Errorf("error tells too much: %q", text)
				}
				if got := u.InFlight(); got != 0 {
					t.Errorf("InFlight = %d, want 0", got)
				}
			})
		}
	})
}

func TestConnectFailures(t *testing.T) {
	eachTransport(t, func(t *testing.T, to maker) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		refusing := "http://" + l.Addr().String()
		l.Close()
		tls := func(url string) string { return strings.Replace(url, "http:", "https:", 1) }
		tests := []struct{ name, url string }{
			{"nobody listens", refusing},
			{"no port of that number", "http://127.0.0.1:99999"},
			{"no TLS", tls(raw(t, func(c *net.TCPConn, _ *bufio.Reader) { io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n") }))},
			{"closed in the TLS handshake", tls(raw(t, func(*net.TCPConn, *bufio.Reader) {}))},
			{"a TLS handshake that hangs", tls(raw(t, hangs))},
			{"an untrusted certificate", handle(t, startTLS, nil).URL},
		}
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				u := to(t, func(c *Config) {
					if strings.Contains(tt.name, "hangs") {
						c.Pool.ConnectTimeout = time.Millisecond
					}
				}, tt.url)
				_, err := u.RoundTrip(request("POST", "/", "hello").Request)
				if got := kindOf(t, err); got != exchange.FailedConnect {
					t.Errorf("kind = %q, want %q (%v)", got, exchange.FailedConnect, err)
				}
			})
		}
	})
}

// deadConn breaks at the first byte that is written.
type deadConn struct{ net.Conn }

func (deadConn) Write([]byte) (int, error) { return 0, syscall.ECONNRESET }

// dead makes a dialer's connections break before the first byte.
func dead(dial func(context.Context, string, string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return deadConn{c}, nil
	}
}

func TestABreakBeforeTheFirstByteIsResetBeforeRequest(t *testing.T) {
	eachTransport(t, func(t *testing.T, to maker) {
		u := to(t, nil, raw(t, hangs))
		u.transports.dialTCP = dead((&net.Dialer{}).DialContext)
		_, err := u.RoundTrip(request("POST", "/", "hello").Request)
		if got := kindOf(t, err); got != exchange.FailedBeforeRequest {
			t.Errorf("kind = %q, want %q (%v)", got, exchange.FailedBeforeRequest, err)
		}
	})
}

func TestWhoEndsACallIsTold(t *testing.T) {
	failure := &exchange.Failure{Kind: exchange.FailedProtocol, Err: errors.New("x")}
	refusal := &exchange.Refusal{Kind: exchange.ByProxy, Reason: exchange.UpstreamTimeout}
	tests := []struct {
		name  string
		cause error
		want  exchange.FailureKind
		same  bool // the cause itself comes back
	}{
		{"the client left", nil, exchange.FailedClient, false},
		{"a deadline", context.DeadlineExceeded, exchange.FailedTimeout, false},
		{"an I/O deadline", os.ErrDeadlineExceeded, exchange.FailedTimeout, false},
		{"a guard of our own", errors.New("no progress for 1m"), exchange.FailedTimeout, false},
		{"a failure", failure, exchange.FailedProtocol, true},
		{"a refusal", refusal, "", true},
	}
	for _, tt := range tests {
		for protocol, way := range ways {
			t.Run(tt.name+" over "+protocol, func(t *testing.T) {
				arrived := make(chan struct{})
				start := (*httptest.Server).Start
				if protocol == exchange.H2C {
					start = startH2C
				}
				srv := handle(t, start, func(_ http.ResponseWriter, r *http.Request) {
					close(arrived)
					<-r.Context().Done()
				})
				s := request("GET", "/", "")
				ctx, cancel := context.WithCancelCause(s.Context())
				go func() {
					<-arrived
					cancel(tt.cause)
				}()
				u := to(t, way, srv.URL)
				_, err := u.RoundTrip(s.WithContext(ctx))
				if tt.same {
					if err != tt.cause {
						t.Errorf("error = %v, want the cause itself", err)
					}
				} else if got := kindOf(t, err); got != tt.want {
					t.Errorf("kind = %q, want %q (%v)", got, tt.want, err)
				}
			})
		}
	}
}

func TestADeadlineThatHasPassedIsATimeout(t *testing.T) {
	eachTransport(t, func(t *testing.T, to maker) {
		ctx, cancel := context.WithDeadline(context.Background(), time.Now())
		defer cancel()
		_, err := to(t, nil, raw(t, hangs)).RoundTrip(request("GET", "/", "").WithContext(ctx))
		if got := kindOf(t, err); got != exchange.FailedTimeout {
			t.Errorf("kind = %q, want %q (%v)", got, exchange.FailedTimeout, err)
		}
	})
}

// badBody is a client's body that fails as observe sees it fail.
type badBody struct {
	record *exchange.Record
	err    error
}

func (b badBody) Read([]byte) (int, error) {
	if b.record != nil {
		b.record.BlameClient(&exchange.Refusal{Kind: exchange.ByClient, Reason: exchange.ClientBody})
	}
	return 0, b.err
}

func (badBody) Close() error { return nil }

func TestTheClientsFaultIsTheClients(t *testing.T) {
	eachTransport(t, func(t *testing.T, to maker) {
		tests := []struct {
			name   string
			change func(s *sent)
		}{
			{"a body that fails", func(s *sent) { s.Body = badBody{s.record, io.ErrUnexpectedEOF} }},
			{"a body that is too large", func(s *sent) { s.Body = badBody{nil, &http.MaxBytesError{Limit: 1}} }},
			{"a trailer that nobody can send", func(s *sent) { s.Trailer = http.Header{"a b": nil} }},
		}
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				s := request("POST", "/", "hello")
				s.ContentLength = -1
				tt.change(&s)
				_, err := to(t, nil, raw(t, hangs)).RoundTrip(s.Request)
				if got := kindOf(t, err); got != exchange.FailedClient {
					t.Errorf("kind = %q, want %q (%v)", got, exchange.FailedClient, err)
				}
				if tt.name == "a trailer that nobody can send" && s.record.ClientFault() == nil {
					t.Error("the client is not blamed: it would hear nothing of it")
				}
			})
		}
		t.Run("a refusal of the body comes back", func(t *testing.T) {
			s, want := request("POST", "/", "hello"), &exchange.Refusal{Kind: exchange.Validation, Reason: exchange.BodyTooLarge}
			s.Body = badBody{nil, want}
			if _, err := to(t, nil, raw(t, hangs)).RoundTrip(s.Request); err != want {
				t.Errorf("error = %v, want the refusal itself", err)
			}
		})
	})
}

func TestABodyThatBreaksIsAnErrorOfRead(t *testing.T) {
	eachTransport(t, func(t *testing.T, to maker) {
		tests := map[string]string{
			"too short": "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
			"bad chunk": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nxyz\r\n",
			"no end":    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
		}
		for name, text := range tests {
			t.Run(name, func(t *testing.T) {
				u := to(t, nil, raw(t, answers(text)))
				resp, err := u.RoundTrip(request("GET", "/", "").Request)
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(resp.Body)
				if string(body) != "half" || err == nil {
					t.Errorf("body = %q, %v, want half and an error", body, err)
				}
				if got := u.InFlight(); got != 1 {
					t.Errorf("InFlight = %d, want 1 until the body is closed", got)
				}
				resp.Body.Close()
				resp.Body.Close()
				if got := u.InFlight(); got != 0 {
					t.Errorf("InFlight = %d, want 0", got)
				}
			})
		}
	})
}

// frames is a server that speaks HTTP/2 as far as the first request, and then
// as answer does.
func frames(answer func(f *http2.Framer, stream uint32)) script {
	return func(c *net.TCPConn, in *bufio.Reader) {
		if _, err := in.Discard(len(http2.ClientPreface)); err != nil {
			return
		}
		f := http2.NewFramer(c, in)
		f.WriteSettings()
		for {
			frame, err := f.ReadFrame()
			if err != nil {
				return
			}
			if h, ok := frame.(*http2.HeadersFrame); ok {
				answer(f, h.StreamID)
			}
		}
	}
}

func reset(code http2.ErrCode) script {
	return frames(func(f *http2.Framer, stream uint32) { f.WriteRSTStream(stream, code) })
}

func TestFailuresOverHTTP2(t *testing.T) {
	tests := []struct {
		name   string
		server script
		want   exchange.FailureKind
	}{
		{"the stream is reset", reset(http2.ErrCodeInternal), exchange.FailedReset},
		{"the stream is refused unseen", reset(http2.ErrCodeRefusedStream), exchange.FailedBeforeRequest},
		{"the server goes away before it", frames(func(f *http2.Framer, stream uint32) {
			f.WriteGoAway(0, http2.ErrCodeInternal, []byte("secret"))
		}), exchange.FailedBeforeRequest},
		{"the server goes away in the midst", func(c *net.TCPConn, in *bufio.Reader) {
			frames(func(f *http2.Framer, stream uint32) {
				f.WriteGoAway(stream, http2.ErrCodeInternal, []byte("secret"))
				c.CloseWrite()
			})(c, in)
		}, exchange.FailedReset},
		{"garbage", frames(func(f *http2.Framer, stream uint32) {
			f.WriteRawFrame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, stream, []byte{0xff, 0xff})
		}), exchange.FailedProtocol},
		{"HTTP/1", func(c *net.TCPConn, in *bufio.Reader) {
			frames(func(*http2.Framer, uint32) { io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n") })(c, in)
		}, exchange.FailedProtocol},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u := to(t, func(c *Config) { c.Protocol = exchange.H2C }, raw(t, tt.server))
			_, err := u.RoundTrip(request("POST", "/?token=secret", "hello").Request)
			if got := kindOf(t, err); got != tt.want {
				t.Errorf("kind = %q, want %q (%v)", got, tt.want, err)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("error tells too much: %q", err)
			}
		})
	}
}
