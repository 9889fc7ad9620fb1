//go:build unix

package upstream

import "syscall"

// question is a request that goes over a connection that was idle.
type question struct {
	text  []byte
	wait  bool // for what comes back
	begun bool
	heard bool // something has come since the last call: the end, or bytes that would be taken for the answer
	sent  int  // of text
}

// ask sends text over w, which was idle, and returns how much of it. If wait is
// set it waits until something comes back. It reports false, and has sent
// nothing, if something has come already. An error is left to the next Write
// or Read, which meets it as well.
//
// It is what a Read does, a look that finds nothing and then the wait, with the
// Write in between: the look that has to be made before every request is the
// one that a Read after it would make in vain.
func (w *wire) ask(text []byte, wait bool) (sent int, quiet bool) {
	if w.raw == nil {
		return 0, true
	}
	if w.speak == nil { // once: it is called for every request
		w.speak = w.asks.speak
	}
	w.asks = question{text: text, wait: wait}
	_ = w.raw.Read(w.speak)
	sent, quiet = w.asks.sent, !w.asks.heard
	w.asks.text = nil
	return sent, quiet
}

// speak is called when there may be something to read, and reports whether
// that is no longer waited for.
func (q *question) speak(fd uintptr) (done bool) {
	if q.begun {
		return true
	}
	q.begun = true
	if q.heard = hears(fd); q.heard {
		return true
	}
	n, err := syscall.Write(int(fd), q.text)
	q.sent = max(n, 0)
	return err != nil || n < len(q.text) || !q.wait
}
