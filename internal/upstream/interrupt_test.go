package upstream

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"

	"sidecar/internal/exchange"
)

// interrupter is a context as an exchange has it.
type interrupter struct {
	context.Context
	busy bool // another wait is to be ended
	done int  // how often its channel was asked for

	mu     sync.Mutex // guards all below
	f      func()
	called bool
	err    error
}

func (i *interrupter) Done() <-chan struct{} {
	i.done++
	return i.Context.Done()
}

func (i *interrupter) Err() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	return cmp.Or(i.err, i.Context.Err())
}

func (i *interrupter) Interrupt(f func()) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.busy {
		return false
	}
	i.busy, i.f, i.called = true, f, false
	i.fire()
	return true
}

func (i *interrupter) Rest() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.busy, i.f = false, nil
	return !i.called
}

func (i *interrupter) fire() {
	if i.err != nil && i.f != nil {
		i.f()
		i.f, i.called = nil, true
	}
}

// end ends the context.
func (i *interrupter) end() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.err = context.Canceled
	i.fire()
}

// interrupted returns a request with a context that is one.
func interrupted(t testing.TB) (*http.Request, *interrupter) {
	r := usually(t.Context())
	i := &interrupter{Context: r.Context()}
	return r.WithContext(i), i
}

func TestAnInterrupterIsNotAskedForItsChannel(t *testing.T) {
	u := to(t, nil, raw(t, repeats(usual)))
	r, i := interrupted(t)
	var buf [64]byte
	roundTrip(t, u, r, buf[:])
	i.done = 0 // by the dialer
	for range 3 {
		roundTrip(t, u, r, buf[:])
	}
	if i.done != 0 || i.busy {
		t.Errorf("Done was called %d times, a wait is left: %v, want none", i.done, i.busy)
	}
	if got := len(u.endpoints[0].direct.pool.idle); got != 1 {
		t.Errorf("%d connections are kept, want 1", got)
	}
}

func TestAnInterrupterEndsAWait(t *testing.T) {
	half := func(c *net.TCPConn, in *bufio.Reader) {
		readRequest(in)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
		hangs(c, in)
	}
	u := to(t, nil, raw(t, half))
	r, i := interrupted(t)
	resp, err := u.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(resp.Body, make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
	go i.end()
	if _, err := resp.Body.Read(make([]byte, 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("Read = %v, want that the context was cancelled", err)
	}
	resp.Body.Close()

	asked := make(chan struct{})
	u = to(t, nil, raw(t, func(c *net.TCPConn, in *bufio.Reader) {
		readRequest(in)
		close(asked)
		hangs(c, in)
	}))
	r, i = interrupted(t)
	go func() {
		<-asked
		i.end()
	}()
	_, err = u.RoundTrip(r)
	if got := kindOf(t, err); got != exchange.FailedClient {
		t.Errorf("kind = %q, want %q (%v)", got, exchange.FailedClient, err)
	}
	if i.busy {
		t.Error("the wait is left")
	}
}

func TestAConnectionThatWasInterruptedIsNotKept(t *testing.T) {
	u := to(t, nil, raw(t, begins("123456789")))
	r, i := interrupted(t)
	resp, err := u.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := resp.Body.(*stream).wire.in.Peek(9); err != nil {
		t.Fatal(err)
	}
	i.end()
	if body, err := io.ReadAll(resp.Body); err != nil || len(body) != 9 {
		t.Errorf("body = %q, %v, want what was here before", body, err)
	}
	if got := len(u.endpoints[0].direct.pool.idle); got != 0 {
		t.Errorf("%d connections are kept, want 0: this one's deadline has passed", got)
	}
}

func TestABusyInterrupterIsAContextLikeOthers(t *testing.T) {
	cause := errors.New("nobody waits")
	asked := make(chan struct{})
	u := to(t, nil, raw(t, func(c *net.TCPConn, in *bufio.Reader) {
		readRequest(in)
		close(asked)
		hangs(c, in)
	}))
	ctx, cancel := context.WithCancelCause(usually(t.Context()).Context())
	i := &interrupter{Context: ctx, busy: true}
	r := usually(t.Context()).WithContext(i)
	go func() {
		<-asked
		cancel(cause)
	}()
	if _, err := u.RoundTrip(r); !errors.Is(err, cause) {
		t.Errorf("error = %v, want the cause", err)
	}
	if i.done == 0 || !i.busy {
		t.Error("the other wait was ended in the place of this one")
	}
}
