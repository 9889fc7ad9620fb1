package downstream

import (
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

const (
	// outSize is how much of an answer is written together.
	outSize = 4 << 10
	// holdSize is how much of a body is held back until its length is known, as
	// by net/http.
	holdSize = 2 << 10
)

var (
	outs  = sync.Pool{New: func() any { return new([outSize]byte) }}
	holds = sync.Pool{New: func() any { return new([holdSize]byte) }}
)

// writer is a request's ResponseWriter. It belongs to the handler's goroutine,
// but for the deadlines.
type writer struct {
	c      *conn
	ctx    *requestContext
	header http.Header // nil: there is none yet
	given  bool        // by SetHeader
	head   bool        // to be answered without a body, as HEAD is
	close  bool        // the connection ends with this answer

	status int // 0: not yet
	own    fields
	framed bool  // the head is complete, and written or in buf
	length int64 // -1: not known
	sent   int64 // of the body, with what was refused
	passed int64 // of the body, behind the head
	chunks bool
	done   bool
	err    error // of the connection

	out  *[outSize]byte
	buf  []byte // in out: what is not yet written
	hold *[holdSize]byte
	held []byte // in hold: the beginning of a body whose length is not known
}

// SetReadDeadline is for http.ResponseController.
func (w *writer) SetReadDeadline(at time.Time) error { return w.ctx.setReadDeadline(at) }

// SetWriteDeadline is for http.ResponseController.
func (w *writer) SetWriteDeadline(at time.Time) error {
	w.c.touched.Store(true)
	return w.c.nc.SetWriteDeadline(at)
}

// EnableFullDuplex is for http.ResponseController.
func (w *writer) EnableFullDuplex() error { return nil }

// begin makes w ready to answer r.
func (w *writer) begin(c *conn, ctx *requestContext, r *http.Request) {
	w.c, w.ctx, w.length = c, ctx, -1
	w.head, w.close = r.Method == http.MethodHead, r.Close
	w.out, _ = outs.Get().(*[outSize]byte)
	w.buf = w.out[:0]
}

// Header implements http.ResponseWriter.
func (w *writer) Header() http.Header {
	if w.header == nil {
		w.header = make(http.Header, 8)
	}
	return w.header
}

// SetHeader makes h what Header returns, until the answer's head is written: then
// h is the caller's again. It reports false, and does nothing, if there is a
// header already, or was.
func (w *writer) SetHeader(h http.Header) bool {
	if w.header != nil || w.status != 0 {
		return false
	}
	w.header, w.given = h, true
	return true
}

// Write implements http.ResponseWriter.
func (w *writer) Write(p []byte) (int, error) {
	if w.done {
		return 0, http.ErrHandlerTimeout
	}
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if len(p) == 0 {
		return 0, nil
	}
	if !mayHaveBody(w.status) {
		return 0, http.ErrBodyNotAllowed
	}
	w.sent += int64(len(p))
	if w.length >= 0 && w.sent > w.length {
		return 0, http.ErrContentLength
	}
	n := len(p)
	if !w.framed {
		if p = w.holdBack(p); len(p) == 0 {
			return n, nil
		}
	}
	w.body(p)
	return n, w.err
}

// holdBack holds p back while the length of its body may still become known, and
// returns what of it there is no room for.
func (w *writer) holdBack(p []byte) []byte {
	if w.length >= 0 {
		w.frame(p, false)
		return p
	}
	if w.hold == nil {
		w.hold, _ = holds.Get().(*[holdSize]byte)
		w.held = w.hold[:0]
	}
	if len(w.held) == 0 && len(p) > holdSize {
		w.frame(p, false)
		return p
	}
	n := min(len(p), holdSize-len(w.held))
	w.held = append(w.held, p[:n]...)
	if n < len(p) {
		w.frame(w.held, false)
		w.letGo()
	}
	return p[n:]
}

// letGo writes what was held back.
func (w *writer) letGo() {
	if len(w.held) > 0 {
		w.body(w.held)
	}
	if w.hold != nil {
		holds.Put(w.hold)
		w.hold, w.held = nil, nil
	}
}

// body writes p, a part of the body.
func (w *writer) body(p []byte) {
	w.passed += int64(len(p))
	if w.head || w.err != nil {
		return
	}
	if !w.chunks {
		w.write(p)
		return
	}
	w.buf = strconv.AppendInt(w.buf, int64(len(p)), 16)
	w.buf = append(w.buf, lineEnd...)
	w.write(p)
	w.buf = append(w.buf, lineEnd...)
}

// write puts p behind what is not yet written, and writes all if that is much.
func (w *writer) write(p []byte) {
	if len(w.buf)+len(p) <= outSize-len(lineEnd) {
		w.buf = append(w.buf, p...)
		return
	}
	w.flush(p)
}

// flush writes what there is to write, and then p.
func (w *writer) flush(p []byte) {
	var err error
	switch {
	case w.err != nil, len(w.buf) == 0 && len(p) == 0:
	case len(p) == 0:
		_, err = w.c.nc.Write(w.buf)
	case len(w.buf) == 0:
		_, err = w.c.nc.Write(p)
	default:
		both := net.Buffers{w.buf, p}
		_, err = both.WriteTo(w.c.vectored)
	}
	w.buf = w.out[:0]
	if err != nil {
		w.err = err
		w.ctx.fail()
	}
}

// FlushError is for http.ResponseController.
func (w *writer) FlushError() error {
	if w.done {
		return http.ErrHandlerTimeout
	}
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if !w.framed {
		w.frame(w.held, false)
		w.letGo()
	}
	w.flush(nil)
	return w.err
}

// Flush implements http.Flusher.
func (w *writer) Flush() { _ = w.FlushError() }

// abort ends the answer where it is. What is so short that it might look like
// the whole is not begun any more.
func (w *writer) abort() {
	if w.passed > holdSize && !w.done {
		w.flush(nil)
	}
	w.release()
}

func (w *writer) release() {
	w.done = true
	if w.hold != nil {
		holds.Put(w.hold)
	}
	outs.Put(w.out)
	w.out, w.buf, w.hold, w.held = nil, nil, nil, nil
}

// finish ends the answer, and reports whether another one may follow.
func (w *writer) finish() bool {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if !w.framed {
		w.frame(w.held, true)
		w.letGo()
	}
	if w.chunks {
		w.trailers()
	}
	w.flush(nil)
	w.release()
	short := !w.head && w.length >= 0 && w.sent != w.length && mayHaveBody(w.status)
	return w.err == nil && !w.close && !short
}
