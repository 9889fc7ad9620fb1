package retry

import (
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
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
		var over atomic.Bool // the trailers are known
		r.Body = &clientBody{Reader: read, atEOF: func() {
			for name := range r.Trailer {
				r.Trailer[name] = []string{"42"}
			}
			over.Store(true)
		}}
		r.ContentLength = -1
		var stale sync.WaitGroup
		calls := 0
		c := policy()
		rt := New("safe", c, NewBudget(BudgetConfig{Percent: 1000, MinPerSecond: 1000, Window: 1e10}), nil, func() float64 { return 0 })
		resp, err := rt.Wrap(exchange.RoundTripFunc(func(a *http.Request) (*http.Response, error) {
			if calls++; calls == 1 {
				go func() { _, _ = write.Write([]byte("body")) }()
				_, _ = io.ReadFull(a.Body, make([]byte, 4))
				waits := make(chan struct{})
				stale.Go(func() { close(waits); _, _ = a.Body.Read(make([]byte, 1)) })
				<-waits
				return exchange.NewResponse(a, 503, "", nil, nil), nil
			}
			go write.Close()
			// The stale reader is the one that waits for the end, if it came to
			// wait before it was closed.
			for n := 0; !over.Load() && n < 1000; n++ {
				for name, values := range a.Trailer {
					if len(values) > 0 {
						t.Fatalf("%s is said before the body has ended", name)
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
