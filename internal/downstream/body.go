package downstream

import (
	"io"
	"net/http"
	"sync"
)

// body is a request's, of a length that is known. Like net/http's it may be
// closed by one while another one reads, who is waited for.
type body struct {
	c   *conn
	ctx *requestContext

	mu        sync.Mutex // guards all below; held while somebody reads
	left      int64
	err       error // what a Read has failed with
	closed    bool
	abandoned bool // too much is left of it to be read by nobody
}

// mostDiscarded is what is read of a body by nobody. Less than that, and
// another request may follow, as at net/http.
const mostDiscarded = 256 << 10

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return 0, http.ErrBodyReadAfterClose
	}
	return b.read(p)
}

func (b *body) read(p []byte) (int, error) {
	if b.err != nil || len(p) == 0 && b.left > 0 {
		return 0, b.err
	}
	if b.left == 0 {
		return 0, io.EOF
	}
	n, err := b.c.in.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	switch {
	case b.left == 0:
		b.ctx.bodyRead()
		return n, io.EOF
	case err == io.EOF:
		err = io.ErrUnexpectedEOF
	}
	if b.err = err; err != nil {
		b.ctx.fail()
	}
	return n, err
}

// Close reads what is left, if that is not too much.
func (b *body) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil
	}
	b.closed = true
	if b.left == 0 || b.err != nil {
		return b.err
	}
	if b.left > mostDiscarded {
		b.abandoned = true
		return nil
	}
	n, err := io.CopyN(io.Discard, readerFunc(b.read), b.left)
	b.abandoned = n == mostDiscarded
	return err
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// shut ends all reading, when the connection is closed.
func (b *body) shut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
}

// isWhole reports whether the client has sent it all, so that what comes next
// is another request.
func (b *body) isWhole() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.left == 0
}
