package logging

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	delay    = 10 * time.Millisecond // the most that the line of a request waits for others
	batch    = 64 << 10              // as many bytes wait no longer
	queue    = 1 << 20               // bytes that may wait
	reserve  = 64 << 10              // beyond that, for lines that are no request's
	pipeSize = 4 << 10               // what a pipe takes in one piece (PIPE_BUF)
)

var errFull = errors.New("the log takes no more lines")

// writer writes whole lines, and keeps their order. Once it is started it does
// so in the background: who says something waits neither for a disk nor for
// whoever reads the other end of a pipe.
type writer struct {
	to      io.Writer
	piece   int // the most that is written at a time, if that is more than one line; 0: all there is
	torn    bool
	dropped atomic.Uint64 // lines that were lost
	untold  atomic.Uint64 // those of them that no line tells of yet

	some    chan struct{} // there is something to write
	enough  chan struct{} // it is not to wait for more
	closing chan struct{}
	closed  chan struct{} // by run
	closer  sync.Once     // guards closing
	spare   []byte        // room for what waits next; until then it is being written

	mu      sync.Mutex // guards all below and, unless started, to and torn
	started bool
	waiting []byte
}

func newWriter(to io.Writer) *writer {
	return &writer{
		to: to, piece: piece(to),
		some: make(chan struct{}, 1), enough: make(chan struct{}, 1),
		closing: make(chan struct{}), closed: make(chan struct{}),
	}
}

// piece returns how much may be written to w at a time. Other processes may
// write to the same pipe, or terminal: what is larger than it takes in one piece
// would mix with their lines.
func piece(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok {
		return 0
	}
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
		return 0
	}
	return pipeSize
}

// Write writes a line that is no request's.
func (w *writer) Write(line []byte) (int, error) {
	if !w.put(line, queue+reserve) {
		return 0, errFull
	}
	signal(w.enough)
	return len(line), nil
}

// request writes the line of a request.
func (w *writer) request(line []byte) { w.put(line, queue) }

// put has line written, unless more than most bytes would wait.
func (w *writer) put(line []byte, most int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.started {
		return w.write(line)
	}
	before := len(w.waiting)
	after := before + len(line)
	if after > most {
		w.lose(1)
		return false
	}
	w.waiting = append(w.waiting, line...)
	if before == 0 {
		signal(w.some)
	}
	if before < batch && after >= batch {
		signal(w.enough)
	}
	return true
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it is not heard yet, and says the same
	}
}

func (w *writer) lose(n int) {
	w.dropped.Add(uint64(n))
	w.untold.Add(uint64(n))
}

// write writes lines, and reports whether to took them all.
func (w *writer) write(lines []byte) bool {
	well := true
	for len(lines) > 0 {
		n := len(lines)
		if w.piece > 0 && n > w.piece {
			n = 1 + bytes.LastIndexByte(lines[:w.piece], '\n')
			if n == 0 {
				n = 1 + bytes.IndexByte(lines, '\n')
			}
		}
		well = w.writePiece(lines[:n]) && well
		lines = lines[n:]
	}
	return well
}

// writePiece writes lines in one piece. Where only a part of one was taken, the
// next begins on a line of its own.
func (w *writer) writePiece(lines []byte) bool {
	if w.torn {
		_, err := io.WriteString(w.to, "\n")
		w.torn = err != nil
	}
	n := 0
	var err error = errFull
	if !w.torn {
		n, err = w.to.Write(lines)
	}
	if err == nil {
		return true
	}
	w.torn = w.torn || n > 0 && lines[n-1] != '\n'
	w.lose(bytes.Count(lines[n:], []byte("\n")))
	return false
}

// start has lines written in the background. lost says in a line how many were
// lost, and returns an error if that one was lost too.
func (w *writer) start(lost func(n uint64) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.started = true
	go w.run(lost)
}

func (w *writer) run(lost func(n uint64) error) {
	defer close(w.closed)
	for w.await() {
		w.flush(lost, false)
	}
	for w.flush(lost, true) {
	}
}

// await returns when what waits is to be written. It reports whether more may
// come.
func (w *writer) await() bool {
	select {
	case <-w.closing:
		return false
	case <-w.some:
	}
	select {
	case <-w.closing:
		return false
	case <-w.enough:
	case <-time.After(delay):
	}
	return true
}

// flush writes what waits, and reports whether that was anything. Where it was
// not, and it is the last, lines are written at once from now on.
func (w *writer) flush(lost func(n uint64) error, last bool) bool {
	w.mu.Lock()
	lines := w.waiting
	w.waiting, w.spare = w.spare[:0], lines
	w.started = !last || len(lines) > 0
	w.mu.Unlock()

	// It is told only when lines are taken, or the line that tells it would be
	// lost as well, and another have to tell of that.
	well := w.write(lines)
	if n := w.untold.Load(); n > 0 && well && len(lines) > 0 && lost(n) == nil {
		w.untold.Add(-n)
	}
	return len(lines) > 0
}

// close writes what is left, if it was started, and gives up when ctx ends.
func (w *writer) close(ctx context.Context) {
	w.mu.Lock()
	started := w.started
	w.mu.Unlock()
	if !started {
		return
	}
	w.closer.Do(func() { close(w.closing) })
	select {
	case <-w.closed:
	case <-ctx.Done():
	}
}
