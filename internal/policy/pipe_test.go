package policy

import (
	"path/filepath"
	"syscall"
	"testing"
)

// A pipe that nobody writes to holds nothing up: opening it would else wait for
// a writer, and every reload and the end of the process with it.
func TestAPipeWithoutAWriterIsRefusedAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sidecar.yaml")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Skip("no pipes here:", err)
	}
	if _, err := Load(path, Options{}); err == nil {
		t.Error("Load = nil, want an error: there is nothing in it")
	}
}
