package breaker

import (
	"io"
	"net/http"
	"sync"
	"time"
)

// watch times one call, without the time in which it waited for the client's
// body: that is the client's. The zero watch finds nothing slow.
type watch struct {
	over  time.Duration
	start time.Time
	body  *timedBody // nil: there is none
}

// begin times r, and returns it as it is to be sent.
func (s *Slow) begin(r *http.Request) (watch, *http.Request) {
	if s == nil {
		return watch{}, r
	}
	w := watch{over: s.Over, start: time.Now()}
	if r.Body != nil && r.Body != http.NoBody {
		w.body = &timedBody{ReadCloser: r.Body}
		r = r.WithContext(r.Context())
		r.Body = w.body
	}
	return w, r
}

// slow reports whether the call, which ends now, took too long.
func (w watch) slow() bool {
	if w.over == 0 {
		return false
	}
	now := time.Now()
	return now.Sub(w.start)-w.body.waited(now) > w.over
}

// timedBody sums up how long its reader waited for the client. A transport may
// read it on a goroutine of its own, also when the call has ended.
type timedBody struct {
	io.ReadCloser

	mu    sync.Mutex // guards all below
	sum   time.Duration
	since time.Time // when the Read at hand began; zero: there is none
}

// Read implements io.Reader.
func (b *timedBody) Read(p []byte) (int, error) {
	b.mark(time.Now())
	defer b.mark(time.Time{})
	return b.ReadCloser.Read(p)
}

// mark ends the Read at hand, and begins another unless since is zero.
func (b *timedBody) mark(since time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.since.IsZero() {
		b.sum += time.Since(b.since)
	}
	b.since = since
}

func (b *timedBody) waited(now time.Time) time.Duration {
	if b == nil {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.since.IsZero() {
		return b.sum
	}
	return b.sum + now.Sub(b.since)
}
