package upstream

import (
	"context"
	"net/http/httptrace"
	"sync"
)

// call is one RoundTrip as its trace shows it. The hooks may run on other
// goroutines, and after RoundTrip has returned.
type call struct {
	trace httptrace.ClientTrace

	mu    sync.Mutex // guards all below
	asked bool       // for a connection: net/http found nothing wrong with the request
	conns int        // got
	conn  *conn      // the last one; nil if it speaks HTTP/2
	heads int64      // of responses that had come over it before
	sent  bool       // something was written, over HTTP/2 or a connection before the last
}

func newCall() *call {
	c := &call{}
	c.trace = httptrace.ClientTrace{
		GetConn:      c.getConn,
		GotConn:      c.gotConn,
		WroteHeaders: c.wroteHeaders,
	}
	return c
}

// watch returns a context under which c sees what happens. Hooks that ctx
// carries already are called as well.
func (c *call) watch(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &c.trace)
}

func (c *call) getConn(string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = true
}

func (c *call) gotConn(info httptrace.GotConnInfo) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent = c.wrote()
	c.conns++
	if c.conn, _ = info.Conn.(*conn); c.conn != nil {
		c.heads = c.conn.begin()
	}
}

func (c *call) wroteHeaders() {
	c.mu.Lock()
	defer c.mu.Unlock()
	// Over HTTP/1 they are in a buffer as yet; there the connection knows.
	if c.conn == nil {
		c.sent = true
	}
}

// wrote reports whether any part of the request was written. c.mu is held.
func (c *call) wrote() bool {
	return c.sent || c.conn != nil && c.conn.wrote.Load()
}

// replays returns how often the Transport began again by itself.
func (c *call) replays() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return max(c.conns-1, 0)
}

// progress returns how far the call has come.
func (c *call) progress() progress {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.wrote() && c.conn != nil && c.conn.cutOff.Load():
		return cutOff
	case c.wrote():
		return wrote
	case c.conns > 0:
		return connected
	case c.asked:
		return connecting
	}
	return unsent
}

// early reports whether no response has come over the connection since the call
// got it. Another call may have it by now: net/http lets go of the connection of
// a response without a body before it hands that on.
func (c *call) early() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.conn != nil && c.conn.heads.Load() == c.heads
}

// connection returns what the response came over; nil if that speaks HTTP/2.
func (c *call) connection() *conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.conn
}

// progress is how far a call has come.
type progress int

const (
	unsent     progress = iota // net/http would not send the request
	uploading                  // the client's body is read; there is no connection yet
	connecting                 // to the endpoint; nothing was written
	connected                  // to the endpoint; nothing was written
	wrote                      // the endpoint may have seen the request
	cutOff                     // and ended the connection within the response's head
)
