package upstream

import (
	"net"
	"net/http"
	"sync"
	"sync/atomic"
)

// conn is an HTTP/1 connection that knows three things which net/http does not
// tell: whether any byte of a request was written, what the Connection header
// of its response said, and whether the connection ended before that head did
// (to net/http half a line is a malformed one).
type conn struct {
	net.Conn

	wrote   atomic.Bool
	reading atomic.Bool  // in the response's head
	heads   atomic.Int64 // of responses, read to their end
	cutOff  atomic.Bool  // in the response's head, which had begun

	mu   sync.Mutex // guards head
	head head
}

// begin starts a request: what is known of the one before is forgotten. It
// returns how many responses have come by then.
func (c *conn) begin() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.head.reset()
	c.wrote.Store(false)
	c.cutOff.Store(false)
	c.reading.Store(true)
	return c.heads.Load()
}

// options returns what the Connection header of the response said.
func (c *conn) options() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return string(c.head.options)
}

// Read reads, and looks at what belongs to the head.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.reading.Load() {
		c.look(p[:n], err)
	}
	return n, err
}

func (c *conn) look(p []byte, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.head.scan(p):
		c.reading.Store(false)
		c.heads.Add(1)
	case err != nil && c.head.begun():
		c.cutOff.Store(true)
	}
}

// Write writes, and remembers it.
func (c *conn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if n > 0 {
		c.wrote.Store(true)
	}
	return n, err
}

// CloseWrite lets an upgraded connection be closed in one direction.
func (c *conn) CloseWrite() error { return closeWrite(c.Conn) }

func closeWrite(v any) error {
	if cw, ok := v.(interface{ CloseWrite() error }); ok {
		return cw.CloseWrite()
	}
	return http.ErrNotSupported
}
