package upstream

import (
	"bufio"
	"context"
	"fmt"
	"math"
	"net"
	"sync"
	"syscall"
	"time"

	"sidecar/internal/exchange"
)

// wire is an HTTP/1.1 connection that carries one call at a time, on the
// goroutine of the call.
type wire struct {
	net.Conn
	pool      *pool
	interrupt func() // ends a Read and a Write, for good

	reused    bool
	idleSince time.Time // guarded by the pool

	// For ask.
	raw   syscall.RawConn // nil where the connection has none
	asks  question
	speak func(fd uintptr) bool

	// The call at hand.
	in       *bufio.Reader // nil before the answer
	first    *bufio.Reader // what it holds is Read before all else; nil: nothing
	limit    int64         // of what may be read
	wrote    bool          // something was written
	answered bool          // something was read
	ended    bool          // by the other side, or an interrupt
	late     bool          // the response's head was not there in time
	odd      bool          // the response's head is net/http's to read, and not yet read to its end
	cutOff   bool          // in the response's head, which had begun
	head     head          // of an odd one

	waits exchange.Interrupter // the call's context; nil if stop is its watch
	stop  func() bool          // nil if the context has no end
}

var (
	// wide readers hold an answer of 64 KiB with its head: it comes in one Read,
	// and is written in one from where it is. A call has one from when its answer
	// begins.
	wide = newReaders(72 << 10)

	// narrow ones are for answers whose length is not known: they may last for
	// hours, and have little to hold at a time.
	narrow = newReaders(bufferSize)
)

func newReaders(size int) *sync.Pool {
	return &sync.Pool{New: func() any { return bufio.NewReaderSize(nil, size) }}
}

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

func newWire(nc net.Conn, p *pool) *wire {
	w := &wire{Conn: nc, pool: p}
	w.interrupt = func() { _ = nc.SetDeadline(longAgo) }
	if sc, ok := nc.(syscall.Conn); ok {
		w.raw, _ = sc.SyscallConn()
	}
	return w
}

// Read reads within the limit.
func (w *wire) Read(p []byte) (n int, err error) {
	if w.limit <= 0 {
		return 0, errHeadTooLarge
	}
	if int64(len(p)) > w.limit {
		p = p[:w.limit]
	}
	if w.first != nil {
		n = w.readFirst(p)
	} else {
		n, err = w.Conn.Read(p)
	}
	w.limit -= int64(n)
	w.answered = w.answered || n > 0
	w.ended = w.ended || err != nil
	if w.odd {
		w.look(p[:n])
	}
	return n, err
}

// Write writes, and remembers it.
func (w *wire) Write(p []byte) (int, error) {
	n, err := w.Conn.Write(p)
	w.wrote = w.wrote || n > 0
	return n, err
}

// look sees p, of an odd head, go by.
func (w *wire) look(p []byte) {
	switch {
	case w.head.scan(p):
		w.odd = false
	case w.ended && w.first == nil && w.head.begun():
		w.cutOff = true
	}
}

var errHeadTooLarge = fmt.Errorf("response header of more than %d bytes", maxResponseHeader)

// begin takes w for one call, which ends when ctx does.
func (w *wire) begin(ctx context.Context) {
	w.limit = math.MaxInt64
	w.wrote, w.answered, w.ended, w.late, w.odd, w.cutOff = false, false, false, false, false, false
	w.watch(ctx)
}

// listen readies w to read the answer.
func (w *wire) listen() {
	w.in = wide.Get().(*bufio.Reader)
	w.in.Reset(w)
}

// narrow has what was read and all that follows be read once more, through a
// narrow reader.
func (w *wire) narrow() {
	w.first = w.in
	w.in = narrow.Get().(*bufio.Reader)
	w.in.Reset(w)
}

func (w *wire) readFirst(p []byte) int {
	n, _ := w.first.Read(p[:min(len(p), w.first.Buffered())])
	if w.first.Buffered() == 0 {
		putReader(w.first)
		w.first = nil
	}
	return n
}

func putReader(r *bufio.Reader) {
	r.Reset(nil)
	if r.Size() == bufferSize {
		narrow.Put(r)
		return
	}
	wide.Put(r)
}

// watch has the end of ctx interrupt w.
func (w *wire) watch(ctx context.Context) {
	if i, ok := ctx.(exchange.Interrupter); ok && i.Interrupt(w.interrupt) {
		w.waits = i
		return
	}
	if ctx.Done() != nil {
		w.stop = context.AfterFunc(ctx, w.interrupt)
	}
}

// unwatch ends that, and reports whether w was not interrupted and will not be.
func (w *wire) unwatch() bool {
	i, stop := w.waits, w.stop
	w.waits, w.stop = nil, nil
	switch {
	case i != nil:
		return i.Rest()
	case stop != nil:
		return stop()
	}
	return true
}

// end gives up w after its call: it is kept for the next one if the caller
// wants it to, and nothing speaks against it.
func (w *wire) end(keep bool) {
	if w.in != nil {
		keep = keep && w.in.Buffered() == 0
		putReader(w.in)
		w.in = nil
	}
	if w.first != nil {
		keep = false
		putReader(w.first)
		w.first = nil
	}
	if w.unwatch() && keep {
		w.pool.put(w)
		return
	}
	w.Close()
}
