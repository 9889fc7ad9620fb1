package retry

import (
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"

	"sidecar/internal/exchange"
)

// A transport looks through an attempt's trailers while the reader of the
// attempt before may still be reading the body to its end. Under the race
// detector this shows that they are not the same map.
func TestAStaleReaderFillsItsOwnTrailers(t *testing.T) {
	for range 50 {
		r, _ := http.NewRequest("PUT", "http://up/", nil)
		r.Trailer = http.Header{}
		for i := range 100 {
			r.Trailer[fmt.Sprint("Sum-", i)] = nil
		}
		read, write := io.Pipe()
		r.Body = &clientBody{Reader: read, atEOF: func() {
			for name := range r.Trailer {
				r.Trailer[name] = []string{"42"}
			}
		}}
		r.ContentLength = -1
		var stale sync.WaitGroup
		calls := 0
		c := policy()
		rt := New("safe", c, NewBudget(BudgetConfig{Percent: 1000, MinPerSecond: 1000, Window: 1e10}), func() float64 { return 0 })
		resp, err := rt.Wrap(exchange.RoundTripFunc(func(a *http.Request) (*http.Response, error) {
			if calls++; calls == 1 {
				stale.Go(func() { _, _ = io.Copy(io.Discard, a.Body) })
				return exchange.NewResponse(a, 503, "", nil, nil), nil
			}
			go func() {
				_, _ = write.Write([]byte("body"))
				write.Close()
			}()
			for range 100 {
				for name, values := range a.Trailer {
					if len(values) > 0 {
						t.Errorf("%s is said before the body has ended", name)
					}
				}
			}
			_, _ = io.Copy(io.Discard, a.Body)
			if got := a.Trailer.Get("Sum-7"); got != "42" {
				t.Errorf("Sum-7 = %q at the end of the body, want 42", got)
			}
			return exchange.NewResponse(a, 200, "", nil, nil), nil
		})).RoundTrip(r)
		stale.Wait()
		if err != nil || resp.StatusCode != 200 || calls != 2 {
			t.Fatalf("%v, %v after %d calls, want 200 after 2", resp, err, calls)
		}
	}
}
