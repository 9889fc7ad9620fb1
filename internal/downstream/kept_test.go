package downstream_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// What somebody keeps of a request is not another one's later.
func TestWhatIsKeptOfARequestStaysAsItWas(t *testing.T) {
	eachServer(t, func(t *testing.T, by maker) {
		var kept []*http.Request
		var headers []http.Header
		c := live(t, by, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Path", r.URL.Path)
			kept, headers = append(kept, r), append(headers, w.Header())
		}).call(t, "")
		for i := range 4 {
			c.say(fmt.Sprintf("POST /%d HTTP/1.1\r\nHost: x%d\r\nX-A: %d\r\nContent-Length: 1\r\n\r\n%d", i, i, i, i))
			c.answered(t)
		}
		for i, r := range kept[:3] { // the last one has been answered, but need not be over
			want := fmt.Sprint(i)
			got := []string{r.URL.Path[1:], r.Host[1:], r.RequestURI[1:], r.Header.Get("X-A"), headers[i].Get("X-Path")[1:]}
			for _, got := range got {
				if got != want {
					t.Errorf("of request %d was kept %q", i, got)
				}
			}
			if _, err := r.Body.Read(make([]byte, 1)); !errors.Is(err, http.ErrBodyReadAfterClose) {
				t.Errorf("the body of request %d: %v, want that it is closed", i, err)
			}
			if err := r.Context().Err(); !errors.Is(err, context.Canceled) {
				t.Errorf("the context of request %d: %v, want canceled", i, err)
			}
		}
	})
}

// Many clients at once, who ask for all that is shared: see it with -race.
func TestManyClientsAtOnce(t *testing.T) {
	eachServer(t, func(t *testing.T, by maker) {
		h := live(t, by, func(w http.ResponseWriter, r *http.Request) {
			ctx, cancel := context.WithCancel(r.Context())
			defer cancel()
			watching := make(chan struct{})
			go func() { // as a transport does
				defer close(watching)
				<-ctx.Done()
			}()
			body, err := io.ReadAll(r.Body)
			if err != nil {
				panic(err)
			}
			_, _ = io.WriteString(w, r.URL.Path)
			_, _ = w.Write(body)
			if len(body) > 100 {
				cancel()
				<-watching
			}
		})
		var all sync.WaitGroup
		for i := range 16 {
			c := h.call(t, "")
			all.Go(func() {
				for j := range 40 {
					body, path := strings.Repeat("x", j*i*8), fmt.Sprintf("/%d/%d", i, j)
					text := "POST " + path + " HTTP/1.1\r\nHost: x\r\nContent-Length: " + fmt.Sprint(len(body)) + "\r\n\r\n" + body
					if j%3 == 0 {
						text += "GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n"
						go c.say(text)
						for _, want := range []string{path + body, path} {
							if got := c.answered(t); got != want {
								t.Errorf("%d bytes, want %d of %s", len(got), len(want), path)
							}
						}
						continue
					}
					go c.say(text)
					if got := c.answered(t); got != path+body {
						t.Errorf("%d bytes, want %d of %s", len(got), len(path+body), path)
					}
				}
			})
		}
		all.Wait()
	})
}

// A connection that is closed at once while its client still sends is reset, and
// what of the answer is still under way is lost.
func TestAnAnswerIsReadByWhoStillSends(t *testing.T) {
	eachServer(t, func(t *testing.T, by maker) {
		const size = 400 << 10
		c := live(t, by, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, size)) }).call(t, "")
		_ = c.Conn.(*net.TCPConn).SetReadBuffer(64 << 10)
		said := make(chan struct{})
		go func() {
			defer close(said)
			c.say(post + "Content-Length: 9999999\r\n\r\n" + strings.Repeat("x", 1<<20))
		}()
		if got := len(c.answered(t)); got != size {
			t.Errorf("%d bytes of the answer came, want %d", got, size)
		}
		_ = c.Close()
		<-said
	})
}

func TestHTTP2GoesToNetHTTP(t *testing.T) {
	eachServer(t, func(t *testing.T, by maker) {
		var both http.Protocols
		both.SetHTTP1(true)
		both.SetUnencryptedHTTP2(true)
		h := open(t, by, func(s *http.Server) {
			s.Protocols = &both
			s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) })
		})
		var second http.Protocols
		second.SetUnencryptedHTTP2(true)
		transport := &http.Transport{Protocols: &second}
		defer transport.CloseIdleConnections()
		resp, err := (&http.Client{Transport: transport}).Get("http://" + h.address)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if body, err := io.ReadAll(resp.Body); string(body) != "HTTP/2.0" {
			t.Errorf("answer %q, %v, want HTTP/2.0", body, err)
		}
	})
}

// How large a head may be is told by the http.Server.
func TestAHeadMayBeAsLargeAsForNetHTTP(t *testing.T) {
	most := func(s *http.Server) { s.MaxHeaderBytes = 200 }
	one, other := open(t, standard, most), open(t, lane, most)
	for _, size := range []int{100, 199, 200, 201, 202, 1000, 4096, 4200, 4297, 6000, 9000} {
		head := plainGet + "X-A: "
		text := head + strings.Repeat("a", size-len(head)-len("\r\n\r\n")) + "\r\n\r\n"
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			compare(t, one, other, atOnce(text+askProbe), usual)
			if size <= 4<<10 || size > 8<<10 { // else it depends on what is read with the one before
				compare(t, one, other, atOnce(askBefore+text+askProbe), usual)
			}
		})
	}
}

// A connection that carries other requests is not given to a handler.
func TestNobodyMayHijack(t *testing.T) {
	got := make(chan error, 1)
	live(t, lane, func(w http.ResponseWriter, _ *http.Request) {
		_, _, err := http.NewResponseController(w).Hijack()
		got <- err
	}).call(t, to("/")).answered(t)
	if err := <-got; !errors.Is(err, http.ErrNotSupported) {
		t.Errorf("Hijack: %v, want that it is not supported", err)
	}
}
