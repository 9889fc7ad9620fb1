package downstream_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sidecar/internal/downstream"
)

// timed runs test in a bubble for either server: serve has it serve a handler.
func timed(t *testing.T, test func(t *testing.T, serve func(http.HandlerFunc) *pipes)) {
	t.Helper()
	eachServer(t, func(t *testing.T, by maker) {
		synctest.Test(t, func(t *testing.T) {
			test(t, func(h http.HandlerFunc) *pipes {
				p := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
				s := by(&http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute})
				done := make(chan struct{})
				go func() { defer close(done); _ = s.Serve(p) }()
				t.Cleanup(func() { _ = s.Close(); <-done })
				return p
			})
		})
	})
}

const post2 = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"

// Here what is read moves to the front of its buffer when more is waited for.
func TestHalfAHeadIsGivenAwayAsItCame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var paths []string
		s, p := serve(t, func(_ http.ResponseWriter, r *http.Request) { paths = append(paths, r.URL.Path) })
		end := "\r\nX: " + strings.Repeat("x", len(get)-len("\r\nX: \r\n")) + "\r\n" // as long as get
		c := p.dial()
		c.send(get + "GET /" + strings.Repeat("a", len(get)-len("GET /")) + "GET /moved HTTP/1.1\r\nHost: a" + end)
		c.answer(t)
		synctest.Wait()
		_ = c.Close()
		synctest.Wait()
		if len(paths) != 1 {
			t.Errorf("requests for %q were served, want one for /", paths)
		}
		if _, given := s.Served(); given != 1 {
			t.Errorf("%d connections were given away, want that one", given)
		}
	})
}

func TestLineEndsBehindABodyAreNoRequest(t *testing.T) {
	timed(t, func(t *testing.T, serve func(http.HandlerFunc) *pipes) {
		c := serve(hello).dial()
		c.send(post2 + "\r\n")
		c.answer(t)
		if got := c.closed(t); got != time.Minute {
			t.Errorf("closed after %v, want a minute, as what is idle", got)
		}
	})
}

func TestADeadlineHoldsForWhatItIsSetFor(t *testing.T) {
	read := func(r *http.Request) { _, _ = io.ReadAll(r.Body) }
	soon := func(w http.ResponseWriter) {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(time.Second))
	}
	for name, tc := range map[string]struct {
		sets func(http.ResponseWriter, *http.Request)
		ends bool
	}{
		"one for writing does not end the watch": {func(w http.ResponseWriter, r *http.Request) {
			read(r)
			_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Hour))
		}, false},
		"one for the body ends with it":      {func(w http.ResponseWriter, r *http.Request) { soon(w); read(r) }, false},
		"one behind the body ends the watch": {func(w http.ResponseWriter, r *http.Request) { read(r); soon(w) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			timed(t, func(t *testing.T, serve func(http.HandlerFunc) *pipes) {
				ended := make(chan bool, 2)
				c := serve(func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/" {
						return // from now on there is a deadline for what is idle
					}
					tc.sets(w, r)
					select {
					case <-r.Context().Done():
						ended <- true
					case <-time.After(2 * time.Minute):
						ended <- false
					}
				}).dial()
				c.send(get)
				c.answer(t)
				c.send(strings.Replace(post2, "/", "/long", 1))
				c.answer(t)
				if got := <-ended; got != tc.ends {
					t.Errorf("the context has ended: %v, want %v", got, tc.ends)
				}
				c.Close()
			})
		})
	}
}

func TestADeadlineThatIsSetTooLateIsNobodys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		controls := make(chan *http.ResponseController, 2)
		_, p := serve(t, func(w http.ResponseWriter, r *http.Request) {
			controls <- http.NewResponseController(w)
			_, _ = io.ReadAll(r.Body)
		})
		c := p.dial()
		c.send(get)
		c.answer(t)
		late := <-controls
		c.send(post2[:len(post2)-1])
		<-controls
		synctest.Wait()
		if late.SetReadDeadline(time.Unix(1, 0)) == nil {
			t.Error("a deadline could be set for a request that is over")
		}
		c.send(post2[len(post2)-1:])
		if resp, _ := c.answer(t); resp.Close {
			t.Error("the connection ends")
		}
		c.Close()
	})
}

// HTTP/2 has to say in time that its connection takes no more requests.
func TestShutdownTellsNetHTTPAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := serve(t, func(_ http.ResponseWriter, r *http.Request) {
			if r.ContentLength == 0 {
				time.Sleep(10 * time.Second)
			}
		})
		odd, busy := p.dial(), p.dial()
		odd.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
		odd.answer(t)
		busy.send(get)
		synctest.Wait()
		ended := make(chan error)
		go func() { ended <- s.Shutdown(t.Context()) }()
		if got := odd.closed(t); got > time.Second {
			t.Errorf("what is idle there was closed after %v, want at once", got)
		}
		busy.answer(t)
		busy.closed(t)
		if err := <-ended; err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
}

// late is a connection whose request comes when it has been closed.
type late struct {
	net.Conn
	closed chan struct{}
	once   sync.Once
}

func (c *late) Read(p []byte) (int, error) {
	<-c.closed
	return copy(p, get), nil
}

func (c *late) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

func TestWhatComesWhenItsConnectionWasClosedIsNotBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the handler was called") })
		_, theirs := net.Pipe()
		p.conns <- &late{Conn: theirs, closed: make(chan struct{})}
		synctest.Wait()
		if err := s.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
}

func TestAPanicEndsWhoStillReadsTheBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, p := serve(t, func(_ http.ResponseWriter, r *http.Request) {
			go func() { _, _ = io.ReadAll(r.Body) }() // as a transport does
			synctest.Wait()
			panic(http.ErrAbortHandler)
		})
		c := p.dial()
		c.send(post2[:len(post2)-1])
		if got := c.closed(t); got != 0 {
			t.Errorf("closed after %v, want at once", got)
		}
	})
}

// What its connection read with reads for another one by then.
func TestABodyIsClosedAfterAPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bodies := make(chan io.Reader, 1)
		_, p := serve(t, func(_ http.ResponseWriter, r *http.Request) {
			bodies <- r.Body
			panic(http.ErrAbortHandler)
		})
		c := p.dial()
		c.send(post2)
		c.closed(t)
		synctest.Wait()
		if _, err := io.ReadAll(<-bodies); !errors.Is(err, http.ErrBodyReadAfterClose) {
			t.Errorf("reading ends with %v, want that the body is closed", err)
		}
	})
}

func TestNoFileIsLeftOfAForm(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	timed(t, func(t *testing.T, serve func(http.HandlerFunc) *pipes) {
		c := serve(func(_ http.ResponseWriter, r *http.Request) {
			if err := r.ParseMultipartForm(1); err != nil {
				t.Error(err)
			}
			if files, _ := os.ReadDir(os.TempDir()); len(files) != 1 {
				t.Errorf("there are %d files, want one", len(files))
			}
		}).dial()
		const form = "--x\r\nContent-Disposition: form-data; name=a; filename=b\r\n\r\nhello\r\n--x--\r\n"
		c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: " +
			strconv.Itoa(len(form)) + "\r\n\r\n" + form)
		c.answer(t)
		synctest.Wait()
		if files, _ := os.ReadDir(os.TempDir()); len(files) > 0 {
			t.Errorf("%d files are left", len(files))
		}
		c.Close()
	})
}

func TestTheEndOfTheWatchIsNoDeadlineForTheNextRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
		s := downstream.New(&http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Context().Done()
			hello(w, r)
		})}) // without any timeout
		done := make(chan struct{})
		go func() { defer close(done); _ = s.Serve(p) }()
		defer func() { _ = s.Close(); <-done }()
		c := p.dial()
		for range 2 {
			c.send(get)
			c.answer(t)
			time.Sleep(time.Hour)
		}
		c.Close()
	})
}

func TestWhoAnswersTooLateIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		writers := make(chan http.ResponseWriter, 1)
		_, p := serve(t, func(w http.ResponseWriter, _ *http.Request) { writers <- w })
		c := p.dial()
		c.send(get)
		c.answer(t)
		synctest.Wait()
		w := <-writers
		if _, err := w.Write([]byte("late")); err == nil {
			t.Error("an answer that is over can be written to")
		}
		if err := http.NewResponseController(w).Flush(); err == nil {
			t.Error("an answer that is over can be flushed")
		}
		c.Close()
	})
}

// What a connection was given for one thing is not what the next one has.
func TestEachPartOfAConnectionHasItsOwnTime(t *testing.T) {
	half := len(post2) / 2
	for name, tc := range map[string]struct {
		idle  time.Duration
		first string // of the second request, and
		pause time.Duration
	}{
		"a later head":                    {10 * time.Second, post2[:half], 4 * time.Second},
		"a body, longer than an idle":     {time.Second, post2[:len(post2)-2], 90 * time.Second},
		"half a body, longer than a head": {30 * time.Second, post2[:len(post2)-1], 40 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			timed(t, func(t *testing.T, serve func(http.HandlerFunc) *pipes) {
				c := serve(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }).dial()
				c.send(get)
				c.answer(t)
				time.Sleep(tc.idle)
				c.send(tc.first)
				time.Sleep(tc.pause)
				c.send(post2[len(tc.first):])
				if _, body := c.answer(t); body != "hi" {
					t.Errorf("answer = %q, want hi", body)
				}
				c.Close()
			})
		})
	}
}

func TestWhatCannotBecomeOrdinaryIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := serve(t, hello)
		c := p.dial()
		c.send("\x16\x03\x01\x00\xa5")
		synctest.Wait()
		if _, given := s.Served(); given != 1 {
			t.Errorf("%d connections were given away, want that one, at once", given)
		}
		c.Close()
	})
}
