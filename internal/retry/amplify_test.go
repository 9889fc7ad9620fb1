package retry

import (
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sidecar/internal/exchange"
)

// Whatever the upstream does, its calls are never more than the requests, the
// budget's share of them, and the minimum for each window: retries and hedges
// together.
func TestAmplificationIsBounded(t *testing.T) {
	budgets := []BudgetConfig{
		{Percent: 20, Window: 10 * time.Second},
		{Percent: 0, Window: time.Second},
		{Percent: 7, MinPerSecond: 3, Window: 2 * time.Second},
		{Percent: 150, MinPerSecond: 1, Window: time.Second},
	}
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			budget := budgets[seed%uint64(len(budgets))]
			c := policy(hedge(time.Duration(1+random.IntN(50))*ms, 1+random.IntN(3)), func(c *Config) { c.MaxAttempts = 2 + random.IntN(8) })
			bad, lag := random.IntN(101), 1+random.IntN(200)
			var calls atomic.Int64
			up := exchange.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
				calls.Add(1)
				select {
				case <-time.After(time.Duration(rand.IntN(lag)) * ms):
				case <-r.Context().Done():
					return nil, r.Context().Err()
				}
				switch {
				case rand.IntN(100) >= bad:
					return exchange.NewResponse(r, 200, "", nil, nil), nil
				case rand.IntN(2) == 0:
					return nil, failed(exchange.FailedReset)
				}
				return exchange.NewResponse(r, 503, "", nil, nil), nil
			})
			rt := New("safe", c, NewBudget(budget), nil, half).Wrap(up)
			start, requests := time.Now(), 0
			var clients sync.WaitGroup
			for range 400 {
				requests++
				clients.Go(func() {
					if resp, err := rt.RoundTrip(ask("GET", "")); err == nil {
						resp.Body.Close()
					}
				})
				time.Sleep(time.Duration(random.IntN(40)) * ms) // open: new ones come however it goes
			}
			clients.Wait()
			windows := int(time.Since(start)/budget.Window) + 1
			most := requests + requests*budget.Percent/100 + windows*budget.MinPerSecond*int(budget.Window/time.Second)
			if got := int(calls.Load()); got < requests || got > most {
				t.Errorf("seed %d, %+v: %d calls for %d requests, want %d at most", seed, budget, got, requests, most)
			}
		})
	}
}
