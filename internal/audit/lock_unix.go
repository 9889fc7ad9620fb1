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

// unlinked reports whether no folder has the file.
func unlinked(info os.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && st.Nlink == 0
}
