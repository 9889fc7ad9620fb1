package upstream

import (
	"context"
	"io"
	"net/http"
	"sync"
)

// stream is the body of a response, read from the wire by whoever wants it.
// Close may come while another goroutine reads, and ends that Read.
type stream struct {
	ctx      context.Context
	endpoint *endpoint // whose call ends with Close
	body     io.Reader // net/http's, which knows the framing; nil: it has a length

	mu      sync.Mutex // guards all below; never held over a Read
	wire    *wire      // nil: the body has ended
	left    int64      // of a body whose length is known; else negative
	keep    bool       // the wire may be used again after the end
	reading bool
	closed  bool
	err     error // how the body ended
}

// Read reads from the connection. At the end of the body that is free for
// another call.
func (s *stream) Read(p []byte) (int, error) {
	if err := s.begin(); err != nil {
		return 0, err
	}
	n, err := s.read(p)
	return n, s.end(int64(n), err)
}

// read reads a body of known length to its end and no further.
func (s *stream) read(p []byte) (int, error) {
	if s.body != nil {
		return s.body.Read(p)
	}
	if int64(len(p)) > s.left {
		p = p[:s.left]
	}
	n, err := s.wire.in.Read(p)
	switch {
	case int64(n) == s.left && err == nil:
		err = io.EOF // at once, as net/http: it frees the connection
	case int64(n) < s.left && err == io.EOF:
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// WriteTo writes what is left of the body to dst, each time all that is here.
// An error is of the body, or of dst.
func (s *stream) WriteTo(dst io.Writer) (written int64, failed error) {
	if s.body != nil {
		return io.Copy(dst, struct{ io.Reader }{s})
	}
	err := s.begin()
	if err != nil {
		return 0, unlessEOF(err)
	}
	taken := int64(0)
	for err == nil && failed == nil {
		var p []byte
		p, err = s.part(s.left - taken)
		if len(p) > 0 {
			var n int
			n, failed = dst.Write(p)
			written += int64(n)
			taken += int64(len(p))
			_, _ = s.wire.in.Discard(len(p))
		}
	}
	if err = s.end(taken, err); failed != nil {
		return written, failed
	}
	return written, unlessEOF(err)
}

func unlessEOF(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

// part returns what is here of the left bytes, and waits until there is
// something.
func (s *stream) part(left int64) ([]byte, error) {
	in := s.wire.in
	_, err := in.Peek(1)
	p, _ := in.Peek(int(min(int64(in.Buffered()), left)))
	switch {
	case int64(len(p)) == left:
		err = io.EOF
	case err == io.EOF:
		err = io.ErrUnexpectedEOF
	}
	return p, err
}

func (s *stream) begin() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return http.ErrBodyReadAfterClose
	case s.err != nil:
		return s.err
	}
	s.reading = true
	return nil
}

func (s *stream) end(n int64, err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reading = false
	s.left -= n
	if err != nil && err != io.EOF && s.ctx.Err() != nil {
		err = context.Cause(s.ctx) // it ended the Read
	}
	s.err = err
	if err != nil || s.closed {
		s.release(err == io.EOF && !s.closed)
	}
	return err
}

// Close ends the call. A body that was not read to its end costs the
// connection, unless the rest is here already.
func (s *stream) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	switch {
	case s.wire == nil:
	case s.reading:
		s.wire.Close() // that Read releases it
	default:
		s.release(s.skip())
	}
	// Afterwards: only now does the connection count as idle.
	if s.endpoint != nil {
		s.endpoint.end()
	}
	return nil
}

func (s *stream) release(whole bool) {
	s.wire.end(whole && s.keep)
	s.wire = nil
}

// skip passes over the rest of the body, if that has been received.
func (s *stream) skip() bool {
	if s.left <= 0 || int64(s.wire.in.Buffered()) < s.left {
		return false
	}
	_, err := s.wire.in.Discard(int(s.left))
	return err == nil
}
