//go:build !unix

package audit

import "os"

func lock(*os.File) error { return nil }

func unlinked(os.FileInfo) bool { return false }
