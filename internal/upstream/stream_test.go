package upstream

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"testing"
)

// begins answers the first request with part of a body of nine bytes, and the
// others with a whole one.
func begins(part string) script {
	return func(c *net.TCPConn, in *bufio.Reader) {
		for text := part; ; text = "123456789" {
			if _, err := readRequest(in); err != nil {
				return
			}
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"+text)
		}
	}
}

func TestABodyThatIsClosedEarly(t *testing.T) {
	tests := []struct {
		name, part string
		read, idle int
	}{
		{"the rest is here", "123456789", 4, 1},
		{"nothing was read, and all is here", "123456789", 0, 1},
		{"the rest is not here", "1234", 4, 0},
		{"more than the rest is here", "123456789x", 4, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u := to(t, nil, raw(t, begins(tt.part)))
			resp, err := u.RoundTrip(request("GET", "/", "").Request)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(resp.Body, make([]byte, tt.read)); err != nil {
				t.Fatal(err)
			}
			// The head may have come alone.
			if s := resp.Body.(*stream); len(tt.part) > 4 {
				if _, err := s.wire.in.Peek(len(tt.part) - tt.read); err != nil {
					t.Fatal(err)
				}
			}
			resp.Body.Close()
			resp.Body.Close()
			if got := len(u.endpoints[0].direct.pool.idle); got != tt.idle || u.InFlight() != 0 {
				t.Errorf("%d connections are kept, %d calls in flight, want %d and 0", got, u.InFlight(), tt.idle)
			}
			if n, err := resp.Body.Read(make([]byte, 1)); n != 0 || err != http.ErrBodyReadAfterClose {
				t.Errorf("Read after Close = %d, %v, want ErrBodyReadAfterClose", n, err)
			}
			if tt.idle == 0 {
				return
			}
			if _, got := get(t, u, request("GET", "/", "")); got != "123456789" {
				t.Errorf("the next answer is %q, want its own", got)
			}
		})
	}
}

func TestAConnectionWhoseContextHasEndedIsNotKept(t *testing.T) {
	u := to(t, nil, raw(t, begins("123456789")))
	ctx, cancel := context.WithCancel(t.Context())
	resp, err := u.RoundTrip(request("GET", "/", "").WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := resp.Body.(*stream).wire.in.Peek(9); err != nil {
		t.Fatal(err)
	}
	cancel()
	if body, err := io.ReadAll(resp.Body); err != nil || len(body) != 9 {
		t.Errorf("body = %q, %v, want what was here before", body, err)
	}
	if got := len(u.endpoints[0].direct.pool.idle); got != 0 {
		t.Errorf("%d connections are kept, want 0: this one's deadline has passed", got)
	}
}

func TestCloseEndsARead(t *testing.T) {
	eachTransport(t, func(t *testing.T, to maker) {
		u := to(t, nil, raw(t, begins("1234")))
		resp, err := u.RoundTrip(request("GET", "/", "").Request)
		if err != nil {
			t.Fatal(err)
		}
		begun, ended := make(chan struct{}), make(chan error)
		go func() {
			io.ReadFull(resp.Body, make([]byte, 4))
			close(begun)
			_, err := resp.Body.Read(make([]byte, 1))
			ended <- err
		}()
		<-begun
		resp.Body.Close()
		if err := <-ended; err == nil || err == io.EOF {
			t.Errorf("Read = %v, want an error", err)
		}
		if u.InFlight() != 0 {
			t.Errorf("InFlight = %d, want 0", u.InFlight())
		}
	})
}

func TestTheEndOfABodyStaysItsEnd(t *testing.T) {
	u := to(t, nil, raw(t, begins("123456789")))
	resp, err := u.RoundTrip(request("GET", "/", "").Request)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
	get(t, u, request("GET", "/", "")) // over the connection that the body has left
	if n, err := resp.Body.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("Read = %d, %v, want EOF", n, err)
	}
	if u.InFlight() != 1 {
		t.Errorf("InFlight = %d, want 1 until the body is closed", u.InFlight())
	}
	resp.Body.Close()
}
