package upstream

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"sync"
	"syscall"
	"time"
)

// maxInterim is how many 1xx heads may come before the response. Whoever hears
// of them has no limit in bytes, as with net/http.
const maxInterim = 100

// wire is an HTTP/1.1 connection that carries one call at a time, on the
// goroutine of the call.
type wire struct {
	conn
	pool      *pool
	interrupt func() // ends a Read and a Write, for good

	reused    bool
	idleSince time.Time // guarded by the pool

	// For quiet.
	raw    syscall.RawConn // nil where the connection has none
	listen func(fd uintptr) bool
	heard  bool

	// The call at hand.
	in       *bufio.Reader
	limit    int64       // of what may be read
	answered bool        // something was read
	late     bool        // the response's head was not there in time
	stop     func() bool // of its context's watch; nil if none
}

var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, bufferSize) }}

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

func newWire(nc net.Conn, p *pool) *wire {
	w := &wire{conn: conn{Conn: nc}, pool: p}
	w.interrupt = func() { _ = nc.SetDeadline(longAgo) }
	if sc, ok := nc.(syscall.Conn); ok {
		w.raw, _ = sc.SyscallConn()
	}
	return w
}

// Read reads within the limit.
func (w *wire) Read(p []byte) (int, error) {
	if w.limit <= 0 {
		return 0, errHeadTooLarge
	}
	if int64(len(p)) > w.limit {
		p = p[:w.limit]
	}
	n, err := w.conn.Read(p)
	w.limit -= int64(n)
	w.answered = w.answered || n > 0
	return n, err
}

var errHeadTooLarge = fmt.Errorf("response header of more than %d bytes", maxResponseHeader)

// begin takes w for one call, which ends when ctx does.
func (w *wire) begin(ctx context.Context) {
	w.conn.begin()
	w.limit, w.answered, w.late = maxResponseHeader, false, false
	w.in = readers.Get().(*bufio.Reader)
	w.in.Reset(w)
	if ctx.Done() != nil {
		w.stop = context.AfterFunc(ctx, w.interrupt)
	}
}

// end gives up w after its call: it is kept for the next one if the caller
// wants it to, and nothing speaks against it.
func (w *wire) end(keep bool) {
	keep = keep && w.in.Buffered() == 0
	w.in.Reset(nil)
	readers.Put(w.in)
	w.in = nil
	if w.stop != nil && !w.stop() {
		keep = false // its deadline has passed, or will have any moment
	}
	w.stop = nil
	if keep {
		w.pool.put(w)
		return
	}
	w.Close()
}

// exchange sends text, which is r, and reads the head of the response, within d
// if that is not 0. After an error w has ended.
func (w *wire) exchange(r *http.Request, text []byte, d time.Duration) (*http.Response, error) {
	w.begin(r.Context())
	_, failed := w.Write(text)
	if failed != nil && !w.wrote.Load() {
		w.end(false)
		return nil, failed
	}
	// An upstream may answer and close before it has read all.
	resp, err := w.responseWithin(r, d)
	if err != nil {
		w.end(false)
		if failed != nil {
			err = failed
		}
		return nil, err
	}
	keep := failed == nil && !resp.Close && resp.StatusCode > 199
	if resp.Body == http.NoBody {
		w.end(keep)
		return resp, nil
	}
	resp.Body = &stream{ctx: r.Context(), wire: w, body: resp.Body, left: resp.ContentLength, keep: keep}
	return resp, nil
}

// responseWithin is response with a bound in time; 0 is none.
func (w *wire) responseWithin(r *http.Request, d time.Duration) (*http.Response, error) {
	if d == 0 {
		return w.response(r)
	}
	_ = w.Conn.SetReadDeadline(time.Now().Add(d))
	if r.Context().Err() != nil {
		w.interrupt() // it may have come before, and its deadline is gone
	}
	resp, err := w.response(r)
	if err != nil {
		if w.late = errors.Is(err, os.ErrDeadlineExceeded) && r.Context().Err() == nil; w.late {
			err = errHeaderTimeout
		}
		return nil, err
	}
	_ = w.Conn.SetReadDeadline(time.Time{})
	if err := r.Context().Err(); err != nil {
		return nil, err // an interrupt that came before is gone, and there is no second one
	}
	return resp, nil
}

// response reads heads up to that of the final response, which a 101 is too.
func (w *wire) response(r *http.Request) (*http.Response, error) {
	if _, err := w.in.Peek(1); err != nil {
		return nil, err
	}
	for range maxInterim + 1 {
		resp, err := http.ReadResponse(w.in, r)
		if err != nil {
			return nil, err
		}
		if !interim(resp.StatusCode) {
			w.limit = math.MaxInt64
			return resp, nil
		}
		trace := httptrace.ContextClientTrace(r.Context())
		if trace != nil && trace.Got1xxResponse != nil {
			if err := trace.Got1xxResponse(resp.StatusCode, textproto.MIMEHeader(resp.Header)); err != nil {
				return nil, err
			}
			w.limit = maxResponseHeader
		}
	}
	return nil, errors.New("too many interim responses")
}

func interim(status int) bool {
	return 100 <= status && status <= 199 && status != http.StatusSwitchingProtocols
}
