package downstream

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// headSize is the most that the head of an ordinary request takes.
const headSize = 8 << 10

var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, headSize) }}

// What a connection is doing.
const (
	idle    int32 = iota // waiting for a request
	active               // at one
	closing              // it was closed while it was idle
)

// conn is a connection of ordinary requests. All but state and touched belongs
// to its own goroutine, or to whom that lends it.
type conn struct {
	s      *Server
	nc     net.Conn
	remote string
	in     *bufio.Reader
	// vectored is nc, or what nc writes to: it can take several pieces at once.
	vectored io.Writer
	skip     int // how many bytes may be skipped before the next head
	state    atomic.Int32

	due     time.Time   // when the head that has begun must be here; zero: not known yet
	armed   time.Time   // when the read deadline is; zero: there is none
	touched atomic.Bool // a handler has set a deadline
}

// serve serves one request after the other, until there is one that is not
// ordinary.
func (c *conn) serve() {
	given := false
	c.in = readers.Get().(*bufio.Reader)
	c.in.Reset(c.nc)
	defer func() {
		if p := recover(); p != nil && p != http.ErrAbortHandler {
			c.s.logf("http: panic serving %v: %v\n%s", c.remote, p, debug.Stack())
		}
		c.s.forget(c)
		if !given {
			_ = c.nc.Close()
		}
		c.in.Reset(nil)
		readers.Put(c.in)
	}()
	c.due = after(c.s.standard.ReadHeaderTimeout)
	for until := c.due; c.await(until); until = after(c.s.idleTimeout()) {
		r, err := c.read()
		if err == errNotOrdinary {
			given = c.giveAway()
		}
		if err != nil {
			return
		}
		c.s.served.Add(1)
		if !c.answer(r) {
			return
		}
	}
}

// await waits for a request to begin, and reports whether one has.
func (c *conn) await(until time.Time) bool {
	for c.skipLineEnds(); c.in.Buffered() == 0; c.skipLineEnds() { // else sent together with the one before
		c.state.CompareAndSwap(active, idle)
		if c.fill(until) != nil || !c.state.CompareAndSwap(idle, active) {
			return false
		}
	}
	return true
}

// closeIfIdle closes c if it is waiting for a request.
func (c *conn) closeIfIdle() {
	if c.state.CompareAndSwap(idle, closing) {
		_ = c.nc.Close()
	}
}

// slack is how much too early a deadline may be left where it is: to move it
// costs as much as to look again when it has passed.
const slack = time.Second

// after returns when d has passed; zero, which is never, if d is none.
func after(d time.Duration) time.Time {
	if d <= 0 {
		return time.Time{}
	}
	return time.Now().Add(d)
}

// fill waits until then, zero is for ever, for more bytes than are here.
func (c *conn) fill(until time.Time) error {
	if c.armed.IsZero() != until.IsZero() || c.armed.After(until) || until.Sub(c.armed) > slack {
		c.arm(until)
	}
	for {
		_, err := c.in.Peek(c.in.Buffered() + 1)
		if !errors.Is(err, os.ErrDeadlineExceeded) || until.IsZero() || !time.Now().Before(until) {
			return err
		}
		c.arm(until)
	}
}

func (c *conn) arm(at time.Time) {
	c.armed = at
	_ = c.nc.SetReadDeadline(at)
}

// disarm takes back the deadlines of a handler.
func (c *conn) disarm() {
	c.arm(time.Time{})
	_ = c.nc.SetWriteDeadline(time.Time{})
	c.touched.Store(false)
}

// giveAway gives c to the http.Server, with what was read of it.
func (c *conn) giveAway() bool {
	c.arm(time.Time{})
	c.s.handedOver.Add(1)
	read, _ := c.in.Peek(c.in.Buffered())
	return c.s.rest.give(&begun{Conn: c.nc, read: bytes.Clone(read)})
}

// answer has the handler answer r, and reports whether another request may
// follow.
func (c *conn) answer(r *request) bool {
	over := false
	defer func() {
		if !over { // a panic; somebody may still be reading the body
			_ = c.nc.SetWriteDeadline(time.Now().Add(linger))
			r.w.abort()
			_ = c.nc.Close()
			r.ctx.end()
			r.body.shut()
		}
	}()
	c.s.standard.Handler.ServeHTTP(&r.w, r.http)
	r.ctx.end()
	again := r.w.finish()
	_ = r.body.Close()
	if form := r.http.MultipartForm; form != nil {
		_ = form.RemoveAll()
	}
	over = true
	if c.touched.Load() {
		c.disarm()
	}
	if r.body.abandoned {
		// What the client still sends would have its kernel drop our answer.
		_ = closeWrite(c.nc)
		time.Sleep(linger)
	}
	return again && !r.body.abandoned && r.body.isWhole()
}

// linger is how long a client has to read an answer before its connection is
// closed although it is still sending.
const linger = 500 * time.Millisecond

func (s *Server) idleTimeout() time.Duration {
	if d := s.standard.IdleTimeout; d != 0 {
		return d
	}
	return s.standard.ReadTimeout
}
