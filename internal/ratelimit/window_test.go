package ratelimit

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func sliding(rate string, key ...string) Config {
	c := config(rate, 0, key...)
	c.Algorithm = SlidingWindow
	return c
}

func TestTheSlidingWindowIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(limiter(t, "window", sliding("3/m")))
		policy := []string{`"window";q=3;w=60`}
		refused := func(limit, after string) told {
			return told{Policy: policy, Limit: []string{limit}, Refused: "window", Spent: []string{"window"}, RetryAfter: after}
		}
		passed := func(limit string) told { return told{Policy: policy, Limit: []string{limit}} }
		steps := []struct {
			after time.Duration
			want  told
		}{
			{0, passed(`"window";r=2;t=66`)}, // a minute, and up to a tenth
			{30 * time.Second, passed(`"window";r=1;t=66`)},
			{0, passed(`"window";r=0;t=36`)},
			{0, refused(`"window";r=0;t=36`, "36")},
			{36*time.Second - 1, refused(`"window";r=0;t=1`, "1")},
			{1, passed(`"window";r=0;t=30`)},
			{30 * time.Second, passed(`"window";r=1;t=66`)},
			{time.Hour, passed(`"window";r=2;t=66`)},
		}
		for i, step := range steps {
			time.Sleep(step.after)
			if diff := cmp.Diff(step.want, ask(t, g)); diff != "" {
				t.Errorf("request %d (-want +got):\n%s", i+1, diff)
			}
		}
	})
}

// This is what two counters would not hold: whatever comes when, no window has
// more than the limit.
func TestNoWindowHasMore(t *testing.T) {
	const most, per = 20, time.Second
	for seed := range uint64(5) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			g := NewGate(limiter(t, "window", sliding("20/s")))
			var passed []time.Time
			for range 1000 {
				if ask(t, g).Refused == "" {
					passed = append(passed, time.Now())
				}
				time.Sleep(time.Duration(random.ExpFloat64() * float64(10*time.Millisecond)))
				if random.IntN(100) == 0 {
					time.Sleep(time.Duration(random.IntN(3000)) * time.Millisecond)
				}
			}
			for i := range passed[:len(passed)-most] {
				if within := passed[i+most].Sub(passed[i]); within < per {
					t.Fatalf("seed %d: %d requests passed within %v, want at most %d a second", seed, most+1, within, most)
				}
			}
			if len(passed) < 100 {
				t.Errorf("seed %d: %d requests passed, want more", seed, len(passed))
			}
		})
	}
}

func TestAWindowGivesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wide, tight := limiter(t, "wide", sliding("2/m")), limiter(t, "tight", config("1/h", 1))
		g := NewGate(wide, tight)
		ask(t, g)
		for range 5 {
			time.Sleep(time.Second)
			if got := ask(t, g); got.Refused != "tight" || got.Limit[0][:12] != `"wide";r=1;t` {
				t.Fatalf("got %+v, want tight to refuse and wide to have one left", got)
			}
		}
	})
}

func BenchmarkWindow(b *testing.B) {
	benchmark(b, NewGate(limiter(b, "window", sliding("1000000/s"))))
}
