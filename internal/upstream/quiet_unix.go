//go:build unix

package upstream

import "syscall"

// quiet reports whether nothing has come since the last call: neither the end
// of the connection, nor bytes that would be taken for the next response.
func (w *wire) quiet() bool {
	if w.raw == nil {
		return true
	}
	if w.listen == nil { // once: it is called for every request
		w.listen = func(fd uintptr) bool {
			w.heard = hears(int(fd))
			return true
		}
	}
	err := w.raw.Read(w.listen)
	return err == nil && !w.heard
}

// hears never waits: the runtime has made fd so.
func hears(fd int) bool {
	var b [1]byte
	for {
		n, err := syscall.Read(fd, b[:])
		if err != syscall.EINTR {
			return n >= 0 || err != syscall.EAGAIN
		}
	}
}
