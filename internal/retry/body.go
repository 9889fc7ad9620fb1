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
	rooms  *rooms
	body   io.Reader // the client's; never closed here

	announced []string    // the names of the trailers
	trailer   http.Header // filled when body ends; read once it has

	mu      sync.Mutex // guards all below; never held over a Read
	room    *room      // what kept is in; nil: there is none
	kept    []byte     // nobody has a part of it who does not hold mu
	err     error      // how the client's body ended
	over    bool       // it is larger than limit: kept may not be its beginning
	reading bool       // somebody asks the client
	freed   sync.Cond  // when nobody does any more

	current *reader // of the attempt at hand; of the request's own goroutine
	first   sent    // by the first attempt: mostly there is no other
}

// sent is what one attempt sends. A transport may hold on to it for longer than
// the call lasts, so that it is never used again.
type sent struct {
	request http.Request
	reader  reader
}

func newReplay(req *http.Request, limit int64) *replay {
	if bodiless(req) {
		return nil
	}
	b := &replay{
		limit: limit, length: req.ContentLength, body: req.Body,
		announced: slices.Collect(maps.Keys(req.Trailer)), trailer: req.Trailer,
	}
	b.freed.L = &b.mu
	return b
}

func bodiless(req *http.Request) bool { return req.Body == nil || req.Body == http.NoBody }

// request returns req for the next attempt, with a body and trailers of its
// own: a transport looks through the map, and a stale reader of the attempt
// before may be filling its own at the same time.
func (b *replay) request(req *http.Request) *http.Request {
	if b == nil {
		return req
	}
	s := &b.first
	if b.current != nil {
		s = new(sent)
	}
	s.request, s.reader.replay = *req, b
	s.request.Body = &s.reader
	s.request.GetBody = nil // it would pass us by
	if len(b.announced) > 0 {
		s.reader.trailer = make(http.Header, len(b.announced))
		for _, name := range b.announced {
			s.reader.trailer[name] = nil
		}
		s.request.Trailer = s.reader.trailer
	}
	b.current = &s.reader
	return &s.request
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

// release gives back the room, when there will be no other attempt. Nobody reads
// what was kept once the last reader is closed: all before it are.
func (b *replay) release() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.current != nil && b.current.closed {
		b.drop()
	}
}

// drop forgets what was kept. b.mu is held.
func (b *replay) drop() {
	b.rooms.giveBack(b.room, b.kept)
	b.room, b.kept = nil, nil
}

// begin waits until nobody reads the client's body, which may be long. Whoever
// has begun must be done.
func (b *replay) begin() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.reading {
		b.freed.Wait()
	}
	b.reading = true
}

func (b *replay) done() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reading = false
	b.freed.Signal()
}

// hold adds p to what is kept. b.mu is held.
func (b *replay) hold(p []byte) {
	if b.room == nil && len(p) > 0 {
		b.room = b.rooms.lend(max(int64(len(p)), min(b.length, b.limit, atOnce)))
		b.kept = b.room.b
	}
	b.kept = append(b.kept, p...)
}
