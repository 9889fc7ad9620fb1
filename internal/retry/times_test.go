package retry

import (
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sidecar/internal/exchange"
)

func TestTimesAreAtMostASixteenthAbove(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, percentile := range []int{50, 90, 95, 99} {
		for _, scale := range []time.Duration{100 * time.Microsecond, 3 * ms, 200 * ms, 30 * time.Second} {
			synctest.Test(t, func(t *testing.T) {
				x := NewTimes(percentile)
				var all []time.Duration
				for range 5000 {
					d := time.Duration(random.ExpFloat64() * float64(scale))
					all = append(all, d)
					x.add(d)
				}
				slices.Sort(all)
				want := all[len(all)*percentile/100-1]
				got, known := x.get()
				if most := want + want/16 + 1<<timeUnit; !known || got < want || got > most {
					t.Errorf("p%d of about %v is %v, %v, want %v to %v", percentile, scale, got, known, want, most)
				}
			})
		}
	}
}

func TestEveryTimeFallsIntoTheBucketThatEndsAboveIt(t *testing.T) {
	for d := time.Duration(1); d < 30*time.Minute; d += d/7 + 1 {
		i := bucketOf(d)
		if d >= end(i) || i > 0 && d < end(i-1) {
			t.Fatalf("%v falls into bucket %d, which goes from %v to %v", d, i, end(i-1), end(i))
		}
	}
	for _, d := range []time.Duration{-1, 0, 1<<63 - 1} {
		if i := bucketOf(d); i < 0 || i >= timeBuckets {
			t.Errorf("%v falls into bucket %d, of %d", d, i, timeBuckets)
		}
	}
}

func TestTimesForget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := NewTimes(95)
		want := func(known bool, least time.Duration) {
			t.Helper()
			time.Sleep(lookEvery)
			if got, ok := x.get(); ok != known || got < least || got > least+least/16 {
				t.Errorf("after %v: %v, %v, want %v, %v", time.Since(x.begun), got, ok, least, known)
			}
		}
		add := func(n int, d time.Duration) {
			for range n {
				x.add(d)
			}
		}
		want(false, 0)
		add(enoughTimes-1, 160*ms)
		want(false, 0) // one is wanting
		add(1, 160*ms)
		want(true, 160*ms)
		time.Sleep(halfWindow)
		want(true, 160*ms)
		add(enoughTimes, 16*ms)
		want(true, 160*ms) // of both halves
		time.Sleep(halfWindow)
		want(true, 16*ms)
		time.Sleep(time.Hour) // nobody asks for long
		want(false, 0)
		add(enoughTimes, 16*ms)
		want(true, 16*ms)
	})
}

func TestTimesManyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := NewTimes(95)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 200 {
					x.add(16 * ms)
					time.Sleep(10 * ms)
					if got, ok := x.get(); ok && (got < 16*ms || got > 17*ms) {
						t.Errorf("p95 is %v, want 16ms", got)
					}
				}
			})
		}
		wg.Wait()
	})
}

// calls sends n requests, one after the other, to an upstream that takes 10ms
// for the first, 20ms for the second, and so on up to 100ms, and then begins
// again; for a hedge it takes 1ms. It returns how many were hedged.
func calls(t *testing.T, rt *Retry, n int) (hedged int) {
	t.Helper()
	for i := range n {
		var attempts atomic.Int32
		up := exchange.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
			took := time.Duration(i%10+1) * 10 * ms
			if attempts.Add(1) > 1 {
				took = ms
			}
			select {
			case <-time.After(took):
				return exchange.NewResponse(r, 200, "", nil, nil), nil
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
		})
		resp, err := rt.Wrap(up).RoundTrip(ask("GET", ""))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		synctest.Wait()
		hedged += int(attempts.Load()) - 1
	}
	return hedged
}

func TestHedgesByAPercentile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := policy(hedge(0, 1))
		c.Hedge.After = HedgeAfter{Percentile: 85}
		rt := New("safe", c, generous(), NewTimes(85), half)
		if got := calls(t, rt, enoughTimes); got != 0 {
			t.Errorf("%d hedges while the times are not known, want none", got)
		}
		time.Sleep(lookEvery)
		// The slowest tenth is given up when its hedge answers. That it is not
		// heard to its end must not make the others look slow.
		for range 10 {
			if got := calls(t, rt, 200); got != 20 {
				t.Errorf("%d of 200 requests are hedged, want the 20 slowest", got)
			}
		}
	})
}

// What does not answer well says nothing of how long a good answer takes, and
// what was given up took at least so long.
func TestWhatTimesAreLearnt(t *testing.T) {
	tests := []struct {
		name string
		resp *http.Response
		err  error
		want uint32
	}{
		{"an answer", &http.Response{StatusCode: 200}, nil, 1},
		{"a client's fault", &http.Response{StatusCode: 404}, nil, 1},
		{"a quick no", &http.Response{StatusCode: 503}, nil, 0},
		{"nobody there", nil, failed(exchange.FailedConnect), 0},
		{"no time left", nil, failed(exchange.FailedTimeout), 1},
		{"overtaken by a hedge", nil, errLost, 1},
		{"the client left", nil, failed(exchange.FailedClient), 0},
		{"refused", nil, &exchange.Refusal{Reason: exchange.BreakerOpen}, 0},
	}
	for _, tt := range tests {
		x := NewTimes(95)
		New("safe", policy(hedge(0, 1)), generous(), x, half).learn(10*ms, tt.resp, tt.err)
		if got := x.counts[0][bucketOf(10*ms)].Load(); got != tt.want {
			t.Errorf("%s: %d times are learnt, want %d", tt.name, got, tt.want)
		}
	}
}

func BenchmarkTimes(b *testing.B) {
	x := NewTimes(95)
	b.Run("alone", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			x.add(10 * ms)
			x.get()
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.SetParallelism(2)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				x.add(10 * ms)
				x.get()
			}
		})
	})
}
