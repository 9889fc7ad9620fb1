package downstream_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"sidecar/internal/downstream"
)

// pipes is a listener whose connections are pipes, so that time can be that of
// a synctest bubble.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	fail   []error // with what the next Accepts fail
}

func (p *pipes) Accept() (net.Conn, error) {
	if len(p.fail) > 0 {
		err := p.fail[0]
		p.fail = p.fail[1:]
		return nil, err
	}
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	select {
	case <-p.closed:
	default:
		close(p.closed)
	}
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// dial returns the client's end of a new connection.
func (p *pipes) dial() *client {
	ours, theirs := net.Pipe()
	p.conns <- theirs
	return &client{Conn: ours, in: bufio.NewReader(ours)}
}

type client struct {
	net.Conn
	in *bufio.Reader
}

// send writes text, while answers may come.
func (c *client) send(text string) { go func() { _, _ = io.WriteString(c.Conn, text) }() }

// answer returns the next one.
func (c *client) answer(t *testing.T) (*http.Response, string) {
	t.Helper()
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("body: %v", err)
	}
	return resp, string(body)
}

// closed waits for the server to close, and returns after how long.
func (c *client) closed(t *testing.T) time.Duration {
	t.Helper()
	began := time.Now()
	if b, err := c.in.ReadByte(); err == nil {
		t.Fatalf("the connection is open, and says %q", b)
	}
	return time.Since(began)
}

// serve serves h in a bubble, until its test is over.
func serve(t *testing.T, h http.HandlerFunc) (*downstream.Server, *pipes) {
	t.Helper()
	p := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	return serveOn(t, p, h), p
}

func serveOn(t *testing.T, p *pipes, h http.HandlerFunc) *downstream.Server {
	t.Helper()
	s := downstream.New(&http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0),
	})
	ended := make(chan error)
	go func() { ended <- s.Serve(p) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve returned %v, want http.ErrServerClosed", err)
		}
	})
	return s
}

const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

func hello(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }

func TestWhoSaysNothingIsNotKept(t *testing.T) {
	for name, tc := range map[string]struct {
		says  string
		after time.Duration
	}{
		"nothing at all":                {"", 5 * time.Second},
		"the beginning of a head":       {"GET / HTTP/1.1\r\nHo", 5 * time.Second},
		"no second request":             {get, time.Minute},
		"the beginning of a second":     {get + "GET", 5 * time.Second},
		"a first one for somebody else": {"GET / HTTP/1.0\r\n\r\n", 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, p := serve(t, hello)
				c := p.dial()
				c.send(tc.says)
				if strings.Contains(tc.says, "\r\n\r\n") {
					c.answer(t)
				}
				if got := c.closed(t); got != tc.after {
					t.Errorf("closed after %v, want %v", got, tc.after)
				}
			})
		})
	}
}

func TestADeadlineIsLeftWhereItIsForASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, p := serve(t, hello)
		c := p.dial()
		for range 3 {
			c.send(get)
			c.answer(t)
			time.Sleep(700 * time.Millisecond)
		}
		c.send(get)
		c.answer(t)
		if got := c.closed(t); got != time.Minute {
			t.Errorf("closed %v after the last answer, want a minute", got)
		}
	})
}

func TestAHeadMayComeInPieces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := serve(t, hello)
		c := p.dial()
		go func() {
			for _, b := range []byte(get) {
				time.Sleep(100 * time.Millisecond)
				_, _ = c.Write([]byte{b})
			}
		}()
		if _, body := c.answer(t); body != "hello" {
			t.Errorf("answer = %q, want hello", body)
		}
		if here, given := s.Served(); here != 1 || given != 0 {
			t.Errorf("served %d, gave %d away, want 1 and 0", here, given)
		}
		c.Close()
	})
}

func TestWhatPassesDoesNotEndTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full := &net.OpError{Op: "accept", Err: syscall.EMFILE}
		p := &pipes{conns: make(chan net.Conn), closed: make(chan struct{}), fail: []error{full, full}}
		serveOn(t, p, hello)
		began, c := time.Now(), p.dial()
		c.send(get)
		c.answer(t)
		if took := time.Since(began); took != 15*time.Millisecond {
			t.Errorf("it went on after %v, want 5ms and 10ms", took)
		}
		c.Close()
	})
}

func TestAHeadMayNotTrickleIn(t *testing.T) {
	for name, before := range map[string]string{"the first one": "", "a later one": get} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, p := serve(t, hello)
				c := p.dial()
				if before != "" {
					c.send(before)
					c.answer(t)
				}
				began := time.Now()
				_, err := io.WriteString(c, "GET /")
				for err == nil {
					time.Sleep(900 * time.Millisecond)
					_, err = io.WriteString(c, "x")
				}
				if took := time.Since(began); took < 5*time.Second || took > 6*time.Second {
					t.Errorf("the connection ended after %v, want 5s, told by the next byte", took)
				}
			})
		})
	}
}

func TestShutdownWaitsForWhatIsInFlight(t *testing.T) {
	for name, request := range map[string]string{"here": get, "at net/http": "GET / HTTP/1.0\r\n\r\n"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, p := serve(t, func(w http.ResponseWriter, r *http.Request) {
					time.Sleep(3 * time.Second)
					hello(w, r)
				})
				idle, busy := p.dial(), p.dial()
				busy.send(request)
				synctest.Wait()
				began, ended := time.Now(), make(chan error)
				go func() { ended <- s.Shutdown(t.Context()) }()
				if got := idle.closed(t); got != 0 {
					t.Errorf("an idle connection was closed after %v, want at once", got)
				}
				resp, body := busy.answer(t)
				if body != "hello" || !resp.Close {
					t.Errorf("answer = %q, close %v, want hello, and that the connection ends", body, resp.Close)
				}
				busy.closed(t)
				if err := <-ended; err != nil {
					t.Errorf("Shutdown: %v", err)
				}
				if took := time.Since(began); took < 3*time.Second || took > 4*time.Second {
					t.Errorf("it took %v, want what the request took, 3s", took)
				}
			})
		})
	}
}

func TestShutdownLeavesWhatTakesTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cut := make(chan struct{})
		s, p := serve(t, func(http.ResponseWriter, *http.Request) { <-cut })
		c := p.dial()
		c.send(get)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown = %v, want that the time is over", err)
		}
		close(cut)
		c.answer(t)
		c.closed(t)
	})
}

func TestTheContextEnds(t *testing.T) {
	const post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"
	leaves := func(c *client) { _ = c.Close() }
	for name, tc := range map[string]struct {
		request string
		read    bool
		client  func(c *client) // what it does meanwhile
		ends    bool
	}{
		"when the client leaves":                      {get, false, leaves, true},
		"not while it waits":                          {get, false, func(*client) {}, false},
		"not when it sends the next request":          {get, false, func(c *client) { c.send(get) }, false},
		"when it leaves behind its body":              {post, true, leaves, true},
		"not when it leaves before its body was read": {post, false, leaves, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ended, at := false, make(chan struct{})
				_, p := serve(t, func(_ http.ResponseWriter, r *http.Request) {
					done := r.Context().Done()
					if tc.read {
						_, _ = io.ReadAll(r.Body)
					}
					at <- struct{}{}
					select {
					case <-done:
						ended = errors.Is(r.Context().Err(), context.Canceled)
					case <-time.After(time.Second):
					}
					at <- struct{}{}
				})
				c := p.dial()
				c.send(tc.request)
				<-at
				tc.client(c)
				<-at
				if ended != tc.ends {
					t.Errorf("the context has ended: %v, want %v", ended, tc.ends)
				}
				go func() { // the next request, if there is one
					for range at {
					}
				}()
				_ = c.Close()
				synctest.Wait()
				time.Sleep(2 * time.Second)
				close(at)
			})
		})
	}
}

func TestTheContextEndsWithTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		contexts := make(chan context.Context, 1)
		_, p := serve(t, func(_ http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/asked" {
				r.Context().Done()
			}
			contexts <- r.Context()
		})
		c := p.dial()
		for _, path := range []string{"/asked", "/"} {
			c.send(strings.Replace(get, "/", path, 1))
			c.answer(t)
			ctx := <-contexts
			<-ctx.Done()
			if !errors.Is(ctx.Err(), context.Canceled) {
				t.Errorf("%s: error = %v, want canceled", path, ctx.Err())
			}
		}
		c.Close()
	})
}

// A transport may go on reading a body when its call is over.
func TestWhoReadsABodyTooLongGetsNoOtherRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bodies := make(chan io.Reader, 2)
		_, p := serve(t, func(_ http.ResponseWriter, r *http.Request) { bodies <- r.Body })
		c := p.dial()
		c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody" + get)
		c.answer(t)
		synctest.Wait()
		if p, err := io.ReadAll(<-bodies); !errors.Is(err, http.ErrBodyReadAfterClose) {
			t.Errorf("read %q, %v, want that the body is closed", p, err)
		}
		c.answer(t)
		c.Close()
	})
}

func TestAHandlersDeadlinesEndWithItsRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, p := serve(t, func(w http.ResponseWriter, r *http.Request) {
			hello(w, r)
			control, soon := http.NewResponseController(w), time.Now().Add(time.Second)
			if err := errors.Join(control.SetReadDeadline(soon), control.SetWriteDeadline(soon)); err != nil {
				t.Error(err)
			}
		})
		c := p.dial()
		for range 2 {
			c.send(get)
			c.answer(t)
			time.Sleep(2 * time.Second)
		}
		c.Close()
	})
}

func TestAPanicClosesTheConnection(t *testing.T) {
	for _, what := range []any{http.ErrAbortHandler, "panic"} {
		synctest.Test(t, func(t *testing.T) {
			_, p := serve(t, func(http.ResponseWriter, *http.Request) { panic(what) })
			c := p.dial()
			c.send(get)
			c.closed(t)
		})
	}
}
