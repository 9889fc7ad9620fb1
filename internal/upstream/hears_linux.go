package upstream

import (
	"syscall"
	"unsafe"
)

// hears never waits: the runtime has made fd so, and the scheduler, which need
// not make room for others then, is not told.
func hears(fd uintptr) bool {
	var b [1]byte
	for {
		_, _, err := syscall.RawSyscall(syscall.SYS_READ, fd, uintptr(unsafe.Pointer(&b)), uintptr(len(b)))
		if err != syscall.EINTR {
			return err != syscall.EAGAIN
		}
	}
}
