package downstream_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// live opens a house with this handler.
func live(t *testing.T, by maker, handler http.HandlerFunc) *house {
	t.Helper()
	return open(t, by, func(s *http.Server) { s.Handler = handler })
}

// call says text to h.
func (h *house) call(t *testing.T, text string) *speaker {
	t.Helper()
	c, _ := h.enter(t, nil)
	t.Cleanup(func() { h.leave(c) })
	c.say(text)
	return c
}

// answered returns the body of the next answer.
func (c *speaker) answered(t *testing.T) string {
	t.Helper()
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("body of an answer: %v", err)
	}
	return string(body)
}

func TestWhatIsFlushedComesAtOnce(t *testing.T) {
	eachServer(t, func(t *testing.T, by maker) {
		come := make(chan struct{})
		c := live(t, by, func(w http.ResponseWriter, r *http.Request) {
			for _, part := range []string{"a", strings.Repeat("b", 5000), "c"} {
				_, _ = io.WriteString(w, part)
				_ = http.NewResponseController(w).Flush()
				<-come
			}
		}).call(t, to("/"))
		resp, err := http.ReadResponse(c.in, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, size := range []int{1, 5000, 1} {
			if _, err := io.ReadFull(resp.Body, make([]byte, size)); err != nil {
				t.Errorf("a part of %d bytes: %v", size, err)
			}
			come <- struct{}{}
		}
	})
}

func TestAHandlerIsToldThatItsClientHasLeft(t *testing.T) {
	for name, tc := range map[string]struct {
		says string
		half bool // it only says that it has said all
		read string
	}{
		"while it waits":         {says: to("/")},
		"with one half":          {says: to("/"), half: true},
		"after a body":           {says: plainPost, read: "<nil>"},
		"within a body":          {says: plainPost[:len(plainPost)-2], read: "unexpected EOF"},
		"with half a body":       {says: plainPost[:len(plainPost)-2], half: true, read: "unexpected EOF"},
		"before it reads a body": {says: plainPost},
	} {
		t.Run(name, func(t *testing.T) {
			eachServer(t, func(t *testing.T, by maker) {
				begun, told := make(chan struct{}), make(chan string)
				c := live(t, by, func(_ http.ResponseWriter, r *http.Request) {
					close(begun)
					if tc.read != "" || r.ContentLength > 0 {
						_, err := io.ReadAll(r.Body)
						told <- fmt.Sprint(err)
					}
					select {
					case <-r.Context().Done():
						told <- r.Context().Err().Error()
					case <-time.After(patience):
						told <- "nothing"
					}
				}).call(t, tc.says)
				<-begun
				if c.end(); !tc.half {
					_ = c.Close()
				}
				if tc.read != "" {
					if got := <-told; got != tc.read {
						t.Errorf("the body ends with %q, want %q", got, tc.read)
					}
				} else if strings.HasPrefix(tc.says, "POST") {
					<-told
				}
				if got := <-told; got != context.Canceled.Error() {
					t.Errorf("the handler is told %q, want that its client has left", got)
				}
			})
		})
	}
}

// Also who does not wait for it can ask.
func TestAContextHasEndedWhenItsConnectionFails(t *testing.T) {
	for name, meet := range map[string]func(http.ResponseWriter, *http.Request) error{
		"reading": func(_ http.ResponseWriter, r *http.Request) error {
			_, err := io.ReadAll(r.Body)
			return err
		},
		"writing": func(w http.ResponseWriter, _ *http.Request) (err error) {
			for err == nil {
				_, err = w.Write(make([]byte, 64<<10))
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			eachServer(t, func(t *testing.T, by maker) {
				told := make(chan [2]error)
				c := live(t, by, func(w http.ResponseWriter, r *http.Request) {
					_ = http.NewResponseController(w).EnableFullDuplex()
					told <- [2]error{meet(w, r), r.Context().Err()}
				}).call(t, plainPost[:len(plainPost)-2])
				_ = c.Close()
				if got := <-told; got[0] == nil || !errors.Is(got[1], context.Canceled) {
					t.Errorf("error %v, then that of the context is %v, want canceled", got[0], got[1])
				}
			})
		})
	}
}

func TestAHandlerMayReadAndWriteInTurn(t *testing.T) {
	eachServer(t, func(t *testing.T, by maker) {
		c := live(t, by, func(w http.ResponseWriter, r *http.Request) {
			control := http.NewResponseController(w)
			_ = control.EnableFullDuplex()
			_ = control.Flush()
			lines := bufio.NewScanner(r.Body)
			for lines.Scan() {
				_, _ = fmt.Fprintln(w, lines.Text()+"!")
				_ = control.Flush()
			}
		}).call(t, post+"Content-Length: 6\r\n\r\n")
		resp, err := http.ReadResponse(c.in, nil)
		if err != nil {
			t.Fatal(err)
		}
		back := bufio.NewReader(resp.Body)
		for _, line := range []string{"a\n", "b\n", "c\n"} {
			c.say(line)
			if got, err := back.ReadString('\n'); got != line[:1]+"!\n" {
				t.Errorf("after %q: %q, %v", line, got, err)
			}
		}
		_, _ = io.Copy(io.Discard, back)
		c.say(to("/"))
		if got := c.answered(t); got != "" {
			t.Errorf("the next answer is %q, want nothing", got)
		}
	})
}

func TestAHandlerMayEndTheWaitForABody(t *testing.T) {
	eachServer(t, func(t *testing.T, by maker) {
		told := make(chan error, 1)
		c := live(t, by, func(w http.ResponseWriter, r *http.Request) {
			control := http.NewResponseController(w)
			var once sync.Once
			_, err := io.ReadAll(readerFunc(func(p []byte) (int, error) {
				n, err := r.Body.Read(p)
				once.Do(func() { _ = control.SetReadDeadline(time.Unix(1, 0)) })
				return n, err
			}))
			told <- err
			_, _ = io.WriteString(w, "too slow")
		}).call(t, plainPost[:len(plainPost)-2])
		if got := c.answered(t); got != "too slow" {
			t.Errorf("answer %q, want too slow", got)
		}
		if err := <-told; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the body ends with %v, want that the deadline has passed", err)
		}
		if _, err := c.in.ReadByte(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("then %v, want the end of the connection", err)
		}
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
