package proxy

import (
	"net/http"
	"sync"
	"time"
)

// together is how long the head of an answer waits for the first part of its
// body, so that both go in one packet.
const together = time.Millisecond

// flusher passes on each part of a body at once.
type flusher struct {
	mu     sync.Mutex // guards all below
	w      http.ResponseWriter
	client *http.ResponseController
	timer  *time.Timer // until the head goes alone
	over   bool
}

func newFlusher(w http.ResponseWriter) *flusher {
	f := &flusher{w: w, client: http.NewResponseController(w)}
	f.timer = time.AfterFunc(together, f.fire)
	return f
}

// Write writes p, and all that was written before.
func (f *flusher) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.timer.Stop()
	n, err := f.w.Write(p)
	_ = f.client.Flush() // where that is not supported, it has to do without
	return n, err
}

func (f *flusher) fire() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.over {
		_ = f.client.Flush()
	}
}

// stop ends f: nothing touches the writer any more once it has returned.
func (f *flusher) stop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.timer.Stop()
	f.over = true
}
