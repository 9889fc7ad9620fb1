package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sidecar/internal/exchange"
)

// leaky returns the policy "leakyBucket RATE, waits up to maxWait" by key.
func leaky(rate string, burst int, maxWait time.Duration, key ...string) Config {
	c := config(rate, burst, key...)
	c.Algorithm, c.MaxWait = LeakyBucket, maxWait
	return c
}

const refusedAtOnce = -1

// arrive sends requests at once, one behind the other, and returns how long
// each has waited; refusedAtOnce for those that were refused.
func arrive(t *testing.T, g *Gate, n int) []time.Duration {
	t.Helper()
	waited := make([]time.Duration, n)
	done := make(chan struct{}, n)
	begin := time.Now()
	for i := range n {
		go func() {
			r, _ := request(nil)
			if err := g.Check(r); err != nil {
				waited[i] = refusedAtOnce
			} else {
				waited[i] = time.Since(begin)
			}
			done <- struct{}{}
		}()
		synctest.Wait() // so that the next is behind it
	}
	for range n {
		<-done
	}
	return waited
}

func TestTheLeakyBucketShapes(t *testing.T) {
	const ms = time.Millisecond
	tests := []struct {
		name string
		c    Config
		want []time.Duration
	}{
		{"one behind the other, up to maxWait", leaky("10/s", 0, 300*ms), []time.Duration{0, 100 * ms, 200 * ms, 300 * ms, refusedAtOnce}},
		{"a burst does not wait", leaky("10/s", 3, 100*ms), []time.Duration{0, 0, 0, 100 * ms, refusedAtOnce}},
		{"maxWait between two turns", leaky("10/s", 0, 250*ms), []time.Duration{0, 100 * ms, 200 * ms, refusedAtOnce}},
		{"maxWait shorter than the way to the next turn", leaky("10/s", 0, 50*ms), []time.Duration{0, refusedAtOnce}},
		{"the default of 250ms", leaky("10/s", 0, 0), []time.Duration{0, 100 * ms, 200 * ms, refusedAtOnce}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := NewGate(limiter(t, "smooth", tt.c))
				if diff := cmp.Diff(tt.want, arrive(t, g, len(tt.want))); diff != "" {
					t.Errorf("waits (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestTheLeakyBucketKeepsItsRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(limiter(t, "smooth", leaky("100/s", 0, time.Second)))
		passed := 0
		for range 10 { // 200 at once, each second: twice the rate
			for _, waited := range arrive(t, g, 200) {
				if waited != refusedAtOnce {
					passed++
				}
			}
		}
		// The last of each round has waited for a second.
		if passed != 101+9*100 {
			t.Errorf("%d requests passed in 10s, want %d", passed, 101+9*100)
		}
	})
}

func TestTheLeakyBucketIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(limiter(t, "smooth", leaky("2/s", 0, time.Second)))
		first := ask(t, g)
		if diff := cmp.Diff(told{Policy: []string{`"smooth";q=3;w=2`}, Limit: []string{`"smooth";r=2;t=1`}}, first); diff != "" {
			t.Errorf("the first (-want +got):\n%s", diff)
		}
		go ask(t, g)
		go ask(t, g)
		synctest.Wait()
		want := told{
			Refused: "smooth", Spent: []string{"smooth"}, RetryAfter: "1",
			Policy: []string{`"smooth";q=3;w=2`}, Limit: []string{`"smooth";r=0;t=1`},
		}
		if diff := cmp.Diff(want, ask(t, g)); diff != "" {
			t.Errorf("one too many (-want +got):\n%s", diff)
		}
		time.Sleep(2 * time.Second)
	})
}

// leaving sends a request whose client leaves after a while.
func leaving(g *Gate, after time.Duration) <-chan error {
	r, _ := request(nil)
	ctx, cancel := context.WithTimeout(r.Context(), after)
	done := make(chan error, 1)
	go func() {
		defer cancel()
		done <- g.Check(r.WithContext(ctx))
	}()
	synctest.Wait()
	return done
}

func TestWhoLeavesGivesItsPlaceBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limiter(t, "smooth", leaky("10/s", 0, 300*time.Millisecond))
		g := NewGate(l)
		ask(t, g)
		left := leaving(g, 50*time.Millisecond) // would go on after 100ms
		var waits [2]time.Duration
		begin := time.Now()
		for i := range waits {
			go func() {
				ask(t, g)
				waits[i] = time.Since(begin)
			}()
			synctest.Wait()
		}
		if got := ask(t, g); got.Refused == "" {
			t.Error("the place behind maxWait: passed, want refused")
		}
		if err := <-left; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("who left: Check() = %v, want why", err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if want := [2]time.Duration{100 * time.Millisecond, 200 * time.Millisecond}; waits != want {
			t.Errorf("those behind it waited %v, want %v: they move up", waits, want)
		}
		if n := l.buckets.one.(*queue).waiting.Load(); n != 0 {
			t.Errorf("%d wait, want 0", n)
		}
	})
}

// Requests that went on to wait elsewhere leave together, long after their turns
// are back by themselves.
func TestManyWhoLeaveLateLetNoBurstBy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		smooth := limiter(t, "smooth", leaky("10/s", 0, 20*time.Second))
		slow := limiter(t, "slow", leaky("1/s", 0, 30*time.Second))
		for range 20 {
			leaving(NewGate(smooth, slow), 5*time.Second)
		}
		time.Sleep(4 * time.Second)
		var mu sync.Mutex
		together := map[time.Time]int{}
		for range 40 {
			go func() {
				ask(t, NewGate(smooth))
				mu.Lock()
				defer mu.Unlock()
				together[time.Now()]++
			}()
		}
		time.Sleep(20 * time.Second)
		synctest.Wait()
		for at, n := range together {
			if n > 1 {
				t.Errorf("%d pass together at %v, want one each 100ms", n, at)
			}
		}
	})
}

func TestWhatIsBackByItselfIsNotGivenTwice(t *testing.T) {
	for name, c := range map[string]Config{"tokenBucket": config("1/s", 5), "slidingWindow": sliding("5/s")} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := limiter(t, "all", c)
				slow := limiter(t, "slow", leaky("6/m", 0, 30*time.Second))
				ask(t, NewGate(slow)) // the next turn comes in 10s
				ctx, leave := context.WithTimeout(t.Context(), 6*time.Second)
				defer leave()
				go func() {
					r, _ := request(nil)
					_ = NewGate(l, slow).Check(r.WithContext(exchange.With(ctx, exchange.From(r.Context()))))
				}()
				time.Sleep(5500 * time.Millisecond)
				for range 5 {
					ask(t, NewGate(l))
				}
				time.Sleep(450 * time.Millisecond)
				before := l.buckets.one.look(l.buckets.now()).full
				time.Sleep(100 * time.Millisecond)
				if after := l.buckets.one.look(l.buckets.now()).full; before-after != int64(100*time.Millisecond) {
					t.Errorf("all is back in %v, and after 100ms in which one leaves in %v", time.Duration(before), time.Duration(after))
				}
			})
		})
	}
}

func TestWhoLeavesFromTheMiddleOrTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(limiter(t, "smooth", leaky("10/s", 0, 500*time.Millisecond)))
		ask(t, g)
		begin := time.Now()
		turns := make(chan string, 3)
		wait := func(name string) {
			go func() {
				ask(t, g)
				turns <- fmt.Sprint(name, time.Since(begin))
			}()
			synctest.Wait()
		}
		wait("a ")
		leaving(g, 20*time.Millisecond)
		wait("b ")
		leaving(g, 30*time.Millisecond)
		time.Sleep(50 * time.Millisecond)
		wait("c ")
		time.Sleep(time.Second)
		for _, want := range []string{"a 100ms", "b 200ms", "c 300ms"} {
			if got := <-turns; got != want {
				t.Errorf("the next turn is %s, want %s", got, want)
			}
		}
	})
}

func TestFewWaitAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := leaky("1/s", 0, 30*time.Second, "header:X")
		c.MaxWaiting = 2
		g := NewGate(limiter(t, "smooth", c))
		from := func(who string) error {
			r, _ := request(func(r *http.Request, _ *exchange.Record) { r.Header.Set("X", who) })
			return g.Check(r)
		}
		for _, who := range []string{"a", "b", "c"} {
			if err := from(who); err != nil {
				t.Fatal(err)
			}
		}
		go from("a")
		go from("b")
		synctest.Wait()
		if err := from("c"); err == nil {
			t.Error("a third that would wait: Check() = nil, want a refusal")
		}
		time.Sleep(time.Second) // both had their turn
		if err := from("c"); err != nil {
			t.Errorf("once nobody waits: Check() = %v, want nil", err)
		}
	})
}

func TestNobodyWaitsPastTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(limiter(t, "smooth", leaky("1/s", 0, 10*time.Second)))
		ask(t, g)
		for _, tt := range []struct {
			left time.Duration
			ok   bool
		}{{500 * time.Millisecond, false}, {-time.Second, false}, {1500 * time.Millisecond, true}} {
			begin := time.Now()
			r, record := request(nil)
			record.Deadline = begin.Add(tt.left)
			err := g.Check(r)
			if (err == nil) != tt.ok {
				t.Errorf("with %v left: Check() = %v, want passed: %v", tt.left, err, tt.ok)
			}
			if took := time.Since(begin); !tt.ok && took != 0 {
				t.Errorf("with %v left: refused after %v, want at once", tt.left, took)
			}
		}
	})
}

func TestAnotherLimitRefusesWhoWouldWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		smooth := limiter(t, "smooth", leaky("10/s", 0, time.Second))
		tight := limiter(t, "tight", config("1/h", 1))
		g := NewGate(smooth, tight)
		ask(t, g)
		for range 20 {
			begin := time.Now()
			got := ask(t, g)
			if got.Refused != "tight" || time.Since(begin) != 0 {
				t.Fatalf("refused by %q after %v, want by tight at once", got.Refused, time.Since(begin))
			}
			if want := `"smooth";r=10;t=1`; got.Limit[0] != want {
				t.Fatalf("RateLimit = %s, want %s: its place was given back", got.Limit[0], want)
			}
		}
	})
}

func TestAWaitIsNoted(t *testing.T) {
	for mode, want := range map[exchange.Mode]exchange.Decision{
		exchange.ModeEnforce: {Outcome: exchange.Act, Reason: exchange.RateLimitWait},
		exchange.ModeShadow:  {Outcome: exchange.Shadow, Reason: exchange.RateLimitWait},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := leaky("1/s", 0, time.Second)
			c.Mode = mode
			g := NewGate(limiter(t, "smooth", c))
			begin := time.Now()
			for i, want := range []exchange.Decision{{Outcome: exchange.Pass}, want} {
				want.Kind, want.Policy, want.Line = exchange.RateLimit, "smooth", 5
				r, record := request(nil)
				if err := g.Check(r); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff([]exchange.Decision{want}, record.Decisions()); diff != "" {
					t.Errorf("%v, request %d (-want +got):\n%s", mode, i+1, diff)
				}
			}
			if waited := time.Since(begin) > 0; waited != (mode == exchange.ModeEnforce) {
				t.Errorf("%v: waited: %v", mode, waited)
			}
			time.Sleep(time.Second)
		})
	}
}

func BenchmarkLeaky(b *testing.B) {
	g := NewGate(limiter(b, "smooth", leaky("1000000/s", 1_000_000, time.Second)))
	benchmark(b, g)
}
