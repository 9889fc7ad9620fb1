//go:build !unix

package main

import "io/fs"

// exposed is never: the mode says nothing here.
func exposed(fs.FileInfo) bool { return false }
