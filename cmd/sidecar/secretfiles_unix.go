//go:build unix

package main

import (
	"io/fs"
	"os"
	"syscall"
)

// exposed reports whether others than its owner can read a file, or write it.
// One that is not ours we read by its group ourselves, as Kubernetes arranges
// it with fsGroup.
func exposed(info fs.FileInfo) bool {
	others := fs.FileMode(0o077)
	if !ours(info) {
		others = 0o007
	}
	return info.Mode().Perm()&others != 0
}

// ours reports whether a file belongs to the user that we run as.
func ours(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Geteuid()
}
