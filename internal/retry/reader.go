package retry

import (
	"io"
	"maps"
	"net/http"
)

// reader is the body of one attempt. Its fields are guarded by replay.mu.
type reader struct {
	replay  *replay
	trailer http.Header // of this attempt alone; filled before its body ends
	at      int         // in kept
	closed  bool
}

// Read returns what was kept, then what the client sends.
func (r *reader) Read(p []byte) (int, error) {
	n, err := r.read(p)
	if err == io.EOF && r.trailer != nil {
		maps.Copy(r.trailer, r.replay.trailer)
	}
	return n, err
}

func (r *reader) read(p []byte) (int, error) {
	if n, err, ok := r.again(p); ok {
		return n, err
	}
	r.replay.begin()
	defer r.replay.done() // also where the client's body panics: others wait
	// A stale reader may have read on in the meantime.
	if n, err, ok := r.again(p); ok {
		return n, err
	}
	n, err := r.replay.body.Read(p)
	r.keep(p[:n], err)
	return n, err
}

// again reads from what was kept. It is not ok if the client must be asked.
func (r *reader) again(p []byte) (n int, err error, ok bool) {
	b := r.replay
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case r.closed:
		return 0, http.ErrBodyReadAfterClose, true
	case r.at < len(b.kept):
		n = copy(p, b.kept[r.at:])
		r.at += n
		return n, nil, true
	case b.err != nil:
		return 0, b.err, true
	}
	if b.over { // nobody will want it again
		b.drop()
		r.at = 0
	}
	return 0, nil, false
}

// keep keeps p, which this reader has read from the client, and how the
// client's body ended.
func (r *reader) keep(p []byte, err error) {
	b := r.replay
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err = err
	if len(p) > 0 && (b.length > b.limit || int64(len(b.kept)+len(p)) > b.limit) {
		b.over = true
	}
	if b.over && !r.closed {
		b.drop()
		r.at = 0
		return
	}
	// A stale reader's bytes are kept even over the limit: the next attempt
	// may have been decided on already. They are few, its next Read fails.
	b.hold(p)
	r.at = len(b.kept)
}

// Close ends the reader. It does not wait for a Read, and leaves the client's
// body open for the next attempt.
func (r *reader) Close() error {
	r.replay.mu.Lock()
	defer r.replay.mu.Unlock()
	r.closed = true
	return nil
}
