package downstream

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"time"
)

// request is one, and its answer. Nothing of it is used for another one: who
// holds it for too long does no harm.
type request struct {
	http *http.Request
	head head
	ctx  requestContext
	body body
	w    writer
}

// errNotOrdinary says that what has come is to be read by somebody else, and is
// still there.
var errNotOrdinary = errors.New("not an ordinary request")

// read returns the request that has begun.
func (c *conn) read() (*request, error) {
	text, err := c.wait()
	if err != nil {
		return nil, err
	}
	r := &request{}
	if !r.head.parse(string(text)) {
		return nil, errNotOrdinary
	}
	_, _ = c.in.Discard(len(text))
	c.due = time.Time{}
	r.ctx.c, r.body.c = c, c
	r.http = r.head.request(&r.ctx, c.remote)
	if n := r.head.length; n > 0 {
		r.body.left, r.body.ctx, r.http.Body = n, &r.ctx, &r.body
		if n > int64(c.in.Buffered()) {
			c.arm(time.Time{})
		}
	} else {
		r.ctx.atEnd.Store(true)
	}
	r.w.begin(c, &r.ctx, r.http)
	c.skip = 0
	if r.http.Method == http.MethodPost {
		c.skip = mostSkipped
	}
	return r, nil
}

// mostSkipped is how many bytes that end lines may stand behind the body of a
// POST: old clients send them, and net/http skips so many (RFC 9112 section
// 2.2).
const mostSkipped = 4

func (c *conn) skipLineEnds() {
	for ; c.skip > 0 && c.in.Buffered() > 0; c.skip-- {
		if b, _ := c.in.Peek(1); b[0] != '\r' && b[0] != '\n' {
			c.skip = 0
			return
		}
		_, _ = c.in.Discard(1)
	}
}

// wait waits for a head to be here as a whole, and returns it. It is read, but
// not taken yet, and is gone with the next Peek.
func (c *conn) wait() (text []byte, err error) {
	for {
		here, _ := c.in.Peek(c.in.Buffered())
		if i := bytes.Index(here, []byte(headEnd)); i >= 0 {
			if text = here[:i+len(headEnd)]; len(text) > c.s.mostHead {
				return nil, errNotOrdinary
			}
			return text, nil
		}
		if len(here) >= headSize || !mayBeOrdinary(here) {
			return nil, errNotOrdinary
		}
		if c.due.IsZero() {
			c.due = after(c.s.standard.ReadHeaderTimeout)
		}
		switch err := c.fill(c.due); err {
		case nil:
		case io.EOF:
			return nil, errNotOrdinary // net/http has an answer to it
		default:
			return nil, err
		}
	}
}
