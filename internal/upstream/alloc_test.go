//go:build !race

package upstream

import (
	"context"
	"io"
	"strings"
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

// As an exchange calls: over a socket, and its context ends the wait itself.
func TestACallOfAnExchangeAllocatesItsResponse(t *testing.T) {
	body := strings.Repeat("x", 4<<10)
	for name, tt := range map[string]struct {
		method, body string
		most         float64
	}{
		"GET":  {"GET", "", 4}, // the response, its header twice, and its text
		"POST": {"POST", body, 4},
	} {
		t.Run(name, func(t *testing.T) {
			u := to(t, nil, raw(t, parrot(len(tt.body))))
			r, i := interrupted(t)
			r.Method, r.ContentLength = tt.method, int64(len(tt.body))
			source := strings.NewReader("")
			if tt.body != "" {
				r.Body = io.NopCloser(source)
			}
			buf := make([]byte, 32<<10)
			once := func() {
				source.Reset(tt.body)
				roundTrip(t, u, r, buf)
			}
			once()
			i.done = 0 // by the dialer
			if got := testing.AllocsPerRun(200, once); got > tt.most || i.done != 0 {
				t.Errorf("%v allocations, Done was called %d times, want at most %v and never", got, i.done, tt.most)
			}
		})
	}
}
