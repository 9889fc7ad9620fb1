//go:build !race

package upstream

import (
	"context"
	"testing"
)

// The race detector makes pools forget.
func TestADirectCallAllocatesLittleMoreThanItsResponse(t *testing.T) {
	u := inMemory(t, usual)
	var buf [64]byte
	for name, tt := range map[string]struct {
		ctx  context.Context
		most float64
	}{
		"without an end to its context": {context.Background(), 10},
		"with one":                      {t.Context(), 12},
	} {
		r := usually(tt.ctx)
		if got := testing.AllocsPerRun(200, func() { roundTrip(t, u, r, buf[:]) }); got > tt.most {
			t.Errorf("%s: %v allocations, want at most %v", name, got, tt.most)
		}
	}
}
