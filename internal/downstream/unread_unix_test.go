//go:build unix

package downstream_test

import (
	"net"
	"syscall"
)

// nothingToRead reports whether all that came to c was read, or c is closed.
func nothingToRead(c net.Conn) (nothing bool) {
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		return true
	}
	err = raw.Control(func(fd uintptr) {
		var b [1]byte
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		nothing = n <= 0 || err != nil
	})
	return nothing || err != nil
}
