//go:build !race

package proxy

import (
	"io"
	"net/http"
	"testing"
)

// plainWriter is the client's side of an answer, and allocates nothing.
type plainWriter struct{ header http.Header }

func (w plainWriter) Header() http.Header         { return w.header }
func (w plainWriter) WriteHeader(int)             {}
func (w plainWriter) Write(p []byte) (int, error) { return io.Discard.Write(p) }

// perExchange is what one exchange takes from the heap when no policy is on: its
// id, the value that tells it to the client, and the double's response with its
// header.
const perExchange = 4

func TestAnExchangeThatGoesWellAllocatesNextToNothing(t *testing.T) {
	tests := []struct {
		chain string
		most  float64
	}{
		{"empty", perExchange},
		{"gates", perExchange + 1}, // the values of the rate limits' fields
		{"full", perExchange + 1},
	}
	for _, tt := range tests {
		t.Run(tt.chain, func(t *testing.T) {
			p, r := benchmarked(t, chains[tt.chain])
			w := plainWriter{http.Header{}}
			got := testing.AllocsPerRun(200, func() {
				clear(w.header)
				p.ServeHTTP(w, r)
			})
			if got > tt.most {
				t.Errorf("%v allocations, want at most %v", got, tt.most)
			}
		})
	}
}
