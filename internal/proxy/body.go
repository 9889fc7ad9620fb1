package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"sidecar/internal/exchange"
)

// clientBody is the client's body. It remembers how reading it went wrong: on
// the other side of the seam that would look like the upstream's failure.
type clientBody struct {
	io.ReadCloser
	x   *crossing
	ctx context.Context // of the client's connection
	n   atomic.Int64

	atEnd   atomic.Bool
	atEOF   func()     // set before the body is read
	reading sync.Mutex // held by a Read until it has told what it found
	settled atomic.Bool
	mu      sync.Mutex // guards aborted, and what the record says of uploading
	aborted error

	patience time.Duration // 0: none is needed; the guard watches
	hurried  bool          // the connection has a read deadline for it
}

// longestUpload bounds the reading of a body in a gate on a route without any
// bound in time: what it has sent so far is held in memory.
const longestUpload = time.Minute

// within gives the client so long for its body, from when somebody begins to
// read it; 0 lifts that bound. It is for gates: what reads the body behind them
// is bounded by the guard. The time does not count for the upstream.
func (b *clientBody) within(d time.Duration) {
	b.patience = d
	if d == 0 && b.hurried {
		b.hurried = false
		b.deadline(time.Time{})
	}
}

func (b *clientBody) hurry() {
	if b.patience > 0 && !b.hurried {
		b.hurried = true
		b.deadline(time.Now().Add(b.patience))
	}
}

// deadline ends a Read that waits for the client at t, as no context does.
func (b *clientBody) deadline(t time.Time) {
	_ = http.NewResponseController(b.x.writer.ResponseWriter).SetReadDeadline(t) // where that is not supported, there is no connection
}

func (b *clientBody) Read(p []byte) (int, error) {
	b.reading.Lock()
	defer b.reading.Unlock()
	if err := b.begin(); err != nil {
		return 0, err
	}
	b.hurry()
	n, err := b.ReadCloser.Read(p)
	b.end()
	if n > 0 {
		b.n.Add(int64(n))
		b.x.guard.moved()
	}
	switch {
	case err == io.EOF:
		b.atEnd.Store(true)
		if b.atEOF != nil {
			b.atEOF()
		}
	case err != nil:
		if ended := b.ended(); ended != nil {
			return n, ended // we woke this wait ourselves
		}
		b.blame(err)
	}
	return n, err
}

// settle ends a Read that is under way, and waits until it has told what it
// found. It is for a connection whose context has ended: net/http ends that
// before the Read which finds the client gone returns.
func (b *clientBody) settle() {
	b.settled.Store(true)
	b.deadline(longAgo)
	b.reading.Lock()
	defer b.reading.Unlock()
}

func (b *clientBody) ended() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.aborted
}

func (b *clientBody) begin() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.aborted != nil {
		return b.aborted
	}
	b.x.Record.SetUploading(true)
	return nil
}

func (b *clientBody) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.x.Record.SetUploading(false)
}

// abort makes every later Read fail with err. It reports whether a Read waits
// for the client just now; that one goes on waiting.
func (b *clientBody) abort(err error) (waiting bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.aborted = err
	return b.x.Record.Uploading()
}

func (b *clientBody) blame(err error) {
	reason := exchange.ClientBody
	switch {
	case errors.Is(err, http.ErrBodyReadAfterClose):
		return // our own side stopped reading
	case errors.Is(err, os.ErrDeadlineExceeded) && !b.settled.Load():
		reason = exchange.ClientTimeout
	case errors.Is(err, io.ErrUnexpectedEOF):
		// It may have left, or have said all it will: it may still listen.
	case b.ctx.Err() != nil, errors.Is(err, syscall.ECONNRESET):
		reason = exchange.ClientClosed
	}
	b.x.Record.BlameClient(&exchange.Refusal{Kind: exchange.ByClient, Reason: reason, Note: exchange.Unquoted(err)})
}
