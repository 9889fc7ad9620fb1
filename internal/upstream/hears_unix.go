//go:build unix && !linux

package upstream

import "syscall"

// hears never waits: the runtime has made fd so.
func hears(fd uintptr) bool {
	var b [1]byte
	for {
		n, err := syscall.Read(int(fd), b[:])
		if err != syscall.EINTR {
			return n >= 0 || err != syscall.EAGAIN
		}
	}
}
