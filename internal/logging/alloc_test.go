//go:build !race

package logging

import (
	"io"
	"testing"
)

// The line is on the path of every request: it allocates what slog and the
// client's address need, and nothing of ours.
func TestEndAllocatesLittle(t *testing.T) {
	log, r := New(io.Discard, defaults()), record()
	if got := testing.AllocsPerRun(100, func() { log.End(t.Context(), r) }); got > 4 {
		t.Errorf("End allocates %v times, want at most 4", got)
	}
}
