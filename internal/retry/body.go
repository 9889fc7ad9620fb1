package retry

import (
	"io"
	"maps"
	"net/http"
	"slices"
	"sync"
)

// replay gives every attempt the client's body from its beginning. It reads
// the body only as far as an attempt wants it and keeps what it has read, up
// to a limit; beyond that the attempt at hand streams on, the last one there
// can be. A nil replay is that of a request without a body.
//
// A transport may go on reading after RoundTrip has returned. What such a
// stale reader takes from the client is kept for the one that follows.
type replay struct {
	limit  int64
	length int64 // as announced; -1 if unknown

	// source holds one token, for the right to read body. It is a channel and
	// no mutex since the wait for a client can be long: a synctest bubble can
	// tell that such a reader waits.
	source chan struct{}
	body   io.Reader // the client's; never closed here

	announced []string    // the names of the trailers
	trailer   http.Header // filled when body ends; read once it has

	mu   sync.Mutex // guards all below; never held over a Read
	kept []byte
	err  error // how the client's body ended
	over bool  // it is larger than limit: kept may not be its beginning

	current *reader // of the attempt at hand; of the request's own goroutine
}

func newReplay(req *http.Request, limit int64) *replay {
	if bodiless(req) {
		return nil
	}
	return &replay{
		limit: limit, length: req.ContentLength, source: make(chan struct{}, 1), body: req.Body,
		announced: slices.Collect(maps.Keys(req.Trailer)), trailer: req.Trailer,
	}
}

func bodiless(req *http.Request) bool { return req.Body == nil || req.Body == http.NoBody }

// request returns req for the next attempt, with a body and trailers of its
// own: a transport looks through the map, and a stale reader of the attempt
// before may be filling its own at the same time.
func (b *replay) request(req *http.Request) *http.Request {
	if b == nil {
		return req
	}
	b.current = &reader{replay: b}
	req = req.WithContext(req.Context())
	req.Body = b.current
	req.GetBody = nil // it would pass us by
	if len(b.announced) > 0 {
		req.Trailer = make(http.Header, len(b.announced))
		for _, name := range b.announced {
			req.Trailer[name] = nil
		}
		b.current.trailer = req.Trailer
	}
	return req
}

// whole reports whether another attempt could have the whole body.
func (b *replay) whole() bool {
	if b == nil {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.over
}

// next closes the reader of the attempt at hand, and reports whether another
// attempt can have the whole body. It is one step: what a reader that is still
// open takes beyond the limit is not kept.
func (b *replay) next() bool {
	if b == nil {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.over && !b.current.closed {
		return false
	}
	b.current.closed = true
	return true
}

// end closes the reader of the attempt at hand, which has ended.
func (b *replay) end() {
	if b != nil {
		_ = b.current.Close()
	}
}

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
	r.replay.source <- struct{}{}
	defer func() { <-r.replay.source }()
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
		b.kept, r.at = nil, 0
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
		b.kept, r.at = nil, 0
		return
	}
	// A stale reader's bytes are kept even over the limit: the next attempt
	// may have been decided on already. They are few, its next Read fails.
	b.kept = append(b.kept, p...)
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
