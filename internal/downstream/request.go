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
	size, err := c.wait()
	if err != nil {
		return nil, err
	}
	r := &request{}
	if !r.head.parse(string(c.here[:size])) {
		return nil, errNotOrdinary
	}
	_, _ = c.in.Discard(size)
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
	return r, nil
}

// wait waits for a head to be here as a whole, and returns how long it is.
func (c *conn) wait() (size int, err error) {
	for {
		c.here, _ = c.in.Peek(c.in.Buffered())
		if i := bytes.Index(c.here, []byte(headEnd)); i >= 0 {
			if size = i + len(headEnd); size > c.s.mostHead {
				return 0, errNotOrdinary
			}
			return size, nil
		}
		if len(c.here) >= headSize || !mayBeOrdinary(c.here) {
			return 0, errNotOrdinary
		}
		switch err := c.fill(c.s.standard.ReadHeaderTimeout); err {
		case nil:
		case io.EOF:
			return 0, errNotOrdinary // net/http has an answer to it
		default:
			return 0, err
		}
	}
}
