package upstream

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http/httptrace"
	"sync/atomic"
	"testing"

	"sidecar/internal/exchange"
)

// net/http hands the connection of a call that has ended to one that waits for
// it, also when more than the answer has come over it.
func TestNoCallGetsAnAnswerThatWasThereBefore(t *testing.T) {
	asked, waits, wrote, done := make(chan struct{}), make(chan struct{}), make(chan struct{}), make(chan struct{})
	u := to(t, func(c *Config) { c.Transport = Standard }, raw(t, func(c *net.TCPConn, in *bufio.Reader) {
		if _, err := readRequest(in); err != nil {
			return
		}
		close(asked)
		<-waits
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst"+"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
		<-done
	}))
	var dials atomic.Int32
	u.transports.dialTCP = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if dials.Add(1) == 1 {
			return (&net.Dialer{}).DialContext(ctx, network, addr)
		}
		close(waits)
		<-done
		return nil, net.ErrClosed
	}
	traced := func(trace *httptrace.ClientTrace) sent {
		s := request("GET", "/", "")
		s.Request = s.WithContext(httptrace.WithClientTrace(s.Context(), trace))
		return s
	}
	second := make(chan error)
	go func() {
		<-asked
		_, err := u.RoundTrip(traced(&httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { close(wrote) }}).Request)
		second <- err
	}()
	// Its hook keeps net/http from looking at the connection before the second
	// call has begun there.
	get(t, u, traced(&httptrace.ClientTrace{PutIdleConn: func(error) { <-wrote }}))
	err := <-second
	close(done)
	if err == nil {
		t.Fatal("the second call got an answer that was there before it asked")
	}
	if got := kindOf(t, err); got != exchange.FailedProtocol {
		t.Errorf("the second call failed with %s, want %s", got, exchange.FailedProtocol)
	}
}
