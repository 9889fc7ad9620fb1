package upstream

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"sidecar/internal/exchange"
)

// answersOne answers one request, and tells of the next one, which it leaves alone.
func answersOne(asked chan<- struct{}) script {
	return func(c *net.TCPConn, in *bufio.Reader) {
		readRequest(in)
		io.WriteString(c, usual)
		readRequest(in)
		close(asked)
		hangs(c, in)
	}
}

func TestAWaitOverAConnectionThatWasIdleEnds(t *testing.T) {
	t.Run("with the context", func(t *testing.T) {
		asked, cause := make(chan struct{}), errors.New("nobody waits")
		u := to(t, nil, raw(t, answersOne(asked)))
		get(t, u, request("GET", "/", ""))
		s := request("GET", "/", "")
		ctx, cancel := context.WithCancelCause(s.Context())
		go func() {
			<-asked
			cancel(cause)
		}()
		if _, err := u.RoundTrip(s.WithContext(ctx)); !errors.Is(err, cause) {
			t.Errorf("error = %v, want the cause", err)
		}
	})
	t.Run("with the time for the head", func(t *testing.T) {
		u := to(t, func(c *Config) { c.ResponseHeaderTimeout = 20 * time.Millisecond }, raw(t, answersOne(make(chan struct{}))))
		get(t, u, request("GET", "/", ""))
		_, err := u.RoundTrip(request("GET", "/", "").Request)
		if got := kindOf(t, err); got != exchange.FailedTimeout {
			t.Errorf("kind = %q, want %q (%v)", got, exchange.FailedTimeout, err)
		}
	})
	t.Run("with the connection", func(t *testing.T) {
		u := to(t, nil, raw(t, func(c *net.TCPConn, in *bufio.Reader) {
			readRequest(in)
			io.WriteString(c, usual)
			readRequest(in)
		}))
		get(t, u, request("GET", "/", ""))
		s := request("POST", "/", "hello") // is not replayed
		_, err := u.RoundTrip(s.Request)
		if got := kindOf(t, err); got != exchange.FailedReset || s.attempt.Replays != 0 {
			t.Errorf("kind = %q after %d replays, want %q (%v)", got, s.attempt.Replays, exchange.FailedReset, err)
		}
	})
}

// What does not fit into the socket's buffer is sent in parts.
func TestALargeRequestGoesWholeOverAConnectionThatWasIdle(t *testing.T) {
	body := strings.Repeat("0123456789abcdef", maxBuffered/16)
	got := make(chan string, 1)
	u := to(t, nil, raw(t, func(c *net.TCPConn, in *bufio.Reader) {
		readRequest(in)
		io.WriteString(c, usual)
		var all strings.Builder
		if _, err := readRequest(bufio.NewReader(io.TeeReader(in, &all))); err == nil {
			got <- all.String()
			io.WriteString(c, usual)
		}
	}))
	u.transports.dialTCP = func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		if err == nil {
			err = nc.(*net.TCPConn).SetWriteBuffer(4 << 10)
		}
		return nc, err
	}
	get(t, u, request("GET", "/", ""))
	s := request("POST", "/", body)
	if _, text := get(t, u, s); text != "hi" || s.attempt.Replays != 0 {
		t.Errorf("body = %q after %d replays, want hi", text, s.attempt.Replays)
	}
	if _, text, _ := strings.Cut(<-got, "\r\n\r\n"); text != body {
		t.Errorf("the upstream got %d bytes of the body, or others, want %d", len(text), len(body))
	}
}
