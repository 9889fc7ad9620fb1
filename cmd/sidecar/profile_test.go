//go:build profile

package main

import (
	"flag"
	"os"
	"os/signal"
	"syscall"
	"testing"
)

// TestProfiled runs the command line that stands behind the flags of the test.
// Those write profiles of it when it ends, so that the product needs no port
// and no switch for them: make profile runs it under the load of the bench.
func TestProfiled(t *testing.T) {
	ctx, stop := signal.NotifyContext(t.Context(), syscall.SIGTERM)
	defer stop()
	p := &process{ctx: ctx, stdout: os.Stdout, stderr: os.Stderr}
	if code := p.main(flag.Args()); code != exitOK {
		t.Errorf("%q ends with code %d, want %d", flag.Args(), code, exitOK)
	}
}
