package upstream

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

// A body that trickles in is sent as it comes: the upstream may answer before
// it has all.
const (
	// trickle is a part so small that its sender has paused. The first part is
	// what net/http's server has read beside the head, 4 KiB together.
	trickle = 1 << 10

	// patience is how long it is then waited for the rest.
	patience = 5 * time.Millisecond
)

// body reads the body of r into m and closes it. If that trickles in, it is
// left to net/http as late, and m with it.
func (m *message) body(r *http.Request) (late *upload, err error) {
	if !hasBody(r) {
		return nil, nil
	}
	head, length := len(m.text), int(r.ContentLength)
	m.text = slices.Grow(m.text, length+1) // one more: the end has to be seen
	buf := m.text[head : head+length+1]
	n := 0
	for err == nil && n <= length {
		var part int
		part, err = r.Body.Read(buf[n:])
		n += part
		if err == nil && n < length && part < trickle {
			u := newUpload(r.Body, buf, n)
			if !u.within(r.Context(), patience) {
				return u, nil
			}
			n, err = u.n, u.err
		}
	}
	r.Body.Close()
	if err != nil && err != io.EOF {
		return nil, err
	}
	if n != length {
		return nil, fmt.Errorf("http: ContentLength=%d with Body length %d", length, n)
	}
	m.text = m.text[:head+n]
	return nil, nil
}

// upload is a body that has begun to arrive. It is read on a goroutine of its
// own, so that nobody has to wait for its end.
type upload struct {
	body io.ReadCloser
	done chan struct{} // closed at the end

	mu     sync.Mutex // guards all below; never held over a Read
	more   sync.Cond
	buf    []byte // as long as the body, and one byte
	n      int    // of buf, arrived
	at     int    // of buf, passed on
	err    error  // how the body ended
	closed bool
}

// newUpload reads on in body behind the first n bytes of buf.
func newUpload(body io.ReadCloser, buf []byte, n int) *upload {
	u := &upload{body: body, done: make(chan struct{}), buf: buf, n: n}
	u.more.L = &u.mu
	go u.run()
	return u
}

func (u *upload) run() {
	defer close(u.done)
	at := u.n
	for ended := false; !ended; {
		n, err := u.body.Read(u.buf[at:])
		at += n
		if err == nil && at == len(u.buf) {
			err = io.EOF // it is too long, and the last byte tells
		}
		ended = u.arrived(at, err)
	}
}

func (u *upload) arrived(n int, err error) (ended bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.n, u.err = n, err
	u.more.Broadcast()
	return err != nil
}

// within waits for the end of the body, at most for d. Then n and err may be
// read without the mutex.
func (u *upload) within(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-u.done:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

// Read returns the body from its beginning, as it arrives.
func (u *upload) Read(p []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for u.at == u.n && u.err == nil && !u.closed {
		u.more.Wait()
	}
	switch {
	case u.closed:
		return 0, http.ErrBodyReadAfterClose
	case u.at == u.n:
		return 0, u.err
	}
	n := copy(p, u.buf[u.at:u.n])
	u.at += n
	return n, nil
}

// Close closes the body. It does not wait for a Read.
func (u *upload) Close() error {
	u.mu.Lock()
	u.closed = true
	u.more.Broadcast()
	u.mu.Unlock()
	return u.body.Close()
}
