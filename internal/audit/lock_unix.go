//go:build unix

package audit

import (
	"os"
	"syscall"
)

// lock keeps other processes from writing to f: two would break the chain. It
// ends with f.
func lock(f *os.File) error {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}
