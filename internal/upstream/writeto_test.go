package upstream

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// writes keeps what is written, and in how many parts; after failAfter it fails.
type writes struct {
	bytes.Buffer
	parts     int
	failAfter int // parts; 0: never
}

var errFull = errors.New("full")

func (w *writes) Write(p []byte) (int, error) {
	if w.parts++; w.failAfter > 0 && w.parts > w.failAfter {
		return 0, errFull
	}
	return w.Buffer.Write(p)
}

func TestABodyWritesItself(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\n"
	sized := func(text string, more int) string {
		return fmt.Sprintf(head+"Content-Length: %d\r\n\r\n%s", len(text)+more, text)
	}
	chunked := func(text string) string {
		return fmt.Sprintf(head+"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(text), text)
	}
	large := strings.Repeat("0123456789", 200<<10)
	tests := []struct {
		name, text, body string
		read             int // before
		dst              writes
		err              error
		kept             int // connections
	}{
		{"its length is known", sized("hello", 0), "hello", 0, writes{}, nil, 1},
		{"it is large", sized(large, 0), large, 0, writes{}, nil, 1},
		{"its beginning was read before", sized("hello", 0), "llo", 2, writes{}, nil, 1},
		{"all of it was read before", sized("hello", 0), "", 5, writes{}, nil, 1},
		{"there are chunks", chunked("hello"), "hello", 0, writes{}, nil, 1},
		{"there is a large chunk", chunked(large), large, 0, writes{}, nil, 1},
		{"it is too short", sized("hello", 1), "hello", 0, writes{}, io.ErrUnexpectedEOF, 0},
		{"more comes than was said", sized("hello", -1), "hell", 0, writes{}, nil, 0},
		{"there is no room for it", sized(large, 0), "", 0, writes{parts: 1, failAfter: 1}, errFull, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			end := make(chan struct{})
			u := to(t, nil, raw(t, func(c *net.TCPConn, in *bufio.Reader) {
				answers(tt.text)(c, in)
				if tt.err != io.ErrUnexpectedEOF {
					<-end
				}
			}))
			defer close(end)
			resp, err := u.RoundTrip(request("GET", "/", "").Request)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(resp.Body, make([]byte, tt.read)); err != nil {
				t.Fatal(err)
			}
			n, err := resp.Body.(io.WriterTo).WriteTo(&tt.dst)
			if err != tt.err || n != int64(tt.dst.Len()) || tt.dst.String() != tt.body {
				t.Errorf("WriteTo = %d, %v with %d bytes, want %d bytes and %v", n, err, tt.dst.Len(), len(tt.body), tt.err)
			}
			resp.Body.Close()
			if got := len(u.endpoints[0].direct.pool.idle); got != tt.kept || u.InFlight() != 0 {
				t.Errorf("%d connections are kept, %d calls in flight, want %d and 0", got, u.InFlight(), tt.kept)
			}
		})
	}
}

func TestAnAnswerOf64KiBIsWrittenInOnePart(t *testing.T) {
	body := strings.Repeat("x", 64<<10)
	u := inMemory(t, fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\nX-A: %s\r\n\r\n%s", len(body), strings.Repeat("a", 4<<10), body))
	resp, err := u.RoundTrip(usually(context.Background()))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var dst writes
	if n, err := io.Copy(&dst, resp.Body); err != nil || n != int64(len(body)) || dst.parts != 1 {
		t.Errorf("it is written in %d parts, %d bytes, %v, want 1 part of %d bytes", dst.parts, n, err, len(body))
	}
}

func TestPartsOfABodyAreWrittenAsTheyCome(t *testing.T) {
	parts := make(chan string)
	u := to(t, nil, raw(t, func(c *net.TCPConn, in *bufio.Reader) {
		readRequest(in)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
		for part := range parts {
			io.WriteString(c, part)
		}
	}))
	resp, err := u.RoundTrip(request("GET", "/", "").Request)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	r, w := io.Pipe()
	ended := make(chan error)
	go func() {
		_, err := resp.Body.(io.WriterTo).WriteTo(w)
		ended <- err
	}()
	for _, part := range []string{"123", "4567", "89"} {
		parts <- part
		got := make([]byte, len(part))
		if _, err := io.ReadFull(r, got); err != nil || string(got) != part {
			t.Errorf("%q, %v was written, want %q before the next part", got, err, part)
		}
	}
	close(parts)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestCloseEndsAWriteTo(t *testing.T) {
	u := to(t, nil, raw(t, begins("1234")))
	resp, err := u.RoundTrip(request("GET", "/", "").Request)
	if err != nil {
		t.Fatal(err)
	}
	r, w := io.Pipe()
	ended := make(chan error)
	go func() {
		_, err := resp.Body.(io.WriterTo).WriteTo(w)
		ended <- err
	}()
	if _, err := io.ReadFull(r, make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if err := <-ended; err == nil {
		t.Error("WriteTo ended without an error")
	}
	if got := len(u.endpoints[0].direct.pool.idle); got != 0 || u.InFlight() != 0 {
		t.Errorf("%d connections are kept, %d calls in flight, want none", got, u.InFlight())
	}
	if _, err := resp.Body.(io.WriterTo).WriteTo(io.Discard); err != http.ErrBodyReadAfterClose {
		t.Errorf("WriteTo after Close = %v, want ErrBodyReadAfterClose", err)
	}
}

// A wait for the client is a wait too.
func TestCloseWhileABodyIsWritten(t *testing.T) {
	u := to(t, nil, raw(t, begins("123456789")))
	resp, err := u.RoundTrip(request("GET", "/", "").Request)
	if err != nil {
		t.Fatal(err)
	}
	r, w := io.Pipe()
	ended := make(chan error)
	go func() {
		_, err := resp.Body.(io.WriterTo).WriteTo(w)
		ended <- err
	}()
	if _, err := io.ReadFull(r, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	r.Close()
	if err := <-ended; err != io.ErrClosedPipe {
		t.Errorf("WriteTo = %v, want ErrClosedPipe", err)
	}
	get(t, u, request("GET", "/", ""))
}
