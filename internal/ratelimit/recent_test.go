package ratelimit

import (
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sidecar/internal/exchange"
)

// narrow leaves the recent buckets of b one slot, which all keys share.
func narrow(b *Buckets) { b.recent.slots = b.recent.slots[:1] }

// named returns a request that counts for the value of X.
func named(value string) *http.Request {
	r, _ := request(func(r *http.Request, _ *exchange.Record) { r.Header.Set("X", value) })
	return r
}

func TestKeysThatShareASlotHaveBucketsOfTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limiter(t, "tenant", config("1/h", 2, "header:X", "ip"))
		narrow(l.buckets)
		g := NewGate(l)
		steps := []struct {
			who    string
			passes bool
		}{
			{"a", true},
			{"b", true},
			{"b", true},
			{"b", false},
			{"", true},
			{"a", true},
			{"a", false},
			{"", true},
			{"b", false},
			{"", false},
			{"c", true},
		}
		for _, wait := range []time.Duration{0, recently - 1, recently} {
			for i, step := range steps {
				who := step.who
				if who != "" {
					who += wait.String() // somebody new
				} else if wait > 0 {
					continue
				}
				if got := g.Check(named(who)) == nil; got != step.passes {
					t.Errorf("%v between, request %d, of %q, passes: %v, want %v", wait, i, step.who, got, step.passes)
				}
				time.Sleep(wait)
			}
		}
	})
}

// While what is recent goes by, and is taken and lost by others.
func TestManyAtOnceSpendWhatThereIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const burst, keys, each = 50, 5, 40
		l := limiter(t, "tenant", config("1/h", burst, "header:X"))
		narrow(l.buckets)
		g := NewGate(l)
		var passed [keys]atomic.Int64
		var all sync.WaitGroup
		for i := range 4 * keys {
			all.Go(func() {
				for range each {
					if g.Check(named(fmt.Sprint(i%keys))) == nil {
						passed[i%keys].Add(1)
					}
					time.Sleep(recently / 8)
				}
			})
		}
		all.Wait()
		for i := range passed {
			if got := passed[i].Load(); got != burst {
				t.Errorf("of key %d, %d requests pass, want %d", i, got, burst)
			}
		}
	})
}

// The cache does not hear of a request that finds its bucket among the recent.
func TestARecentBucketIsNotForgottenBeforeItIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(limiter(t, "tenant", config("100/s", 200, "ip"))) // full after 2s
		ask(t, g)                                                      // the cache hears of it,
		time.Sleep(time.Second)
		ask(t, g) // and a second time, and does not care so soon
		time.Sleep(recently - 1)
		for range 200 {
			ask(t, g)
		}
		time.Sleep(2*time.Second - 1)
		if got, want := ask(t, g).Limit[0], `"tenant";r=198;t=1`; got != want {
			t.Errorf("just before it is full: RateLimit = %s, want %s", got, want)
		}
	})
}

func TestABucketInUseIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limiter(t, "tenant", config("100/s", 100, "ip"))
		g := NewGate(l)
		for range 4000 { // for 10s
			ask(t, g)
			time.Sleep(recently / 8)
		}
		l.buckets.cells.CleanUp()
		if got := l.buckets.Len(); got != 1 {
			t.Errorf("%d buckets are kept, want 1", got)
		}
	})
}

func TestRecentBucketsAreNoMoreThanThoseThatAreKept(t *testing.T) {
	for keys, want := range map[int]int{1: 1, 2: 2, 3: 2, 100: 64, 512: 512, 10_000: maxRecent, 1_000_000: maxRecent} {
		if got := len(newRecent(keys).slots); got != want {
			t.Errorf("for %d keys there are %d slots, want %d", keys, got, want)
		}
	}
}

// A bucket with much left and one with little may share a slot.
func TestTextsAreThoseOfTheLevel(t *testing.T) {
	f := newFields("tenant", config("1/s", 1))
	few := []int64{0, 1, 2, 8, 31, 255, 256, 257, 512, 8 * 256, 31 * 256, 1 << 40}
	for range 50 {
		for _, remaining := range few {
			for _, reset := range few {
				want := fmt.Sprintf(`"tenant";r=%d;t=%d`, remaining, reset)
				if got := f.texts.field(&f, remaining, reset); got != want {
					t.Fatalf("field(%d, %d) = %s, want %s", remaining, reset, got, want)
				}
			}
		}
	}
}

func TestAUsualCheckDoesNotAllocate(t *testing.T) {
	for _, key := range [][]string{nil, {"principal", "ip"}, {"ip"}, {"claim:none", "route"}} {
		g := NewGate(limiter(t, "each", endless(key...)))
		r := usualRequest()
		if got := testing.AllocsPerRun(1000, func() { _ = g.Check(r) }); got != 0 {
			t.Errorf("a Check by %v allocates %v times, want 0", key, got)
		}
	}
}

// Else who has spent a limit would get another one for a flood of keys that are
// used once.
func TestABusyKeyKeepsItsBucketInAFloodOfOthers(t *testing.T) {
	c := config("1/h", 2, "header:X")
	c.MaxKeys = 1000
	b := NewBuckets(c)
	defer b.Close()
	busy, others := key{source: 1, value: "busy"}, 0
	first := b.of(&busy, 0)
	for at := time.Duration(0); at < 3*time.Second; at += time.Millisecond {
		now := int64(at)
		if b.of(&busy, now) != first {
			t.Fatalf("after %v and %d other keys it has another bucket, want the same", at, others)
		}
		for range 20 {
			others++
			b.of(&key{source: 1, value: strconv.Itoa(others)}, now)
		}
		b.cells.CleanUp() // what otter does beside requests
	}
}
