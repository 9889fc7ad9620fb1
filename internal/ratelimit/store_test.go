package ratelimit

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sidecar/internal/exchange"
)

// fakeStore is a store in memory, with troubles.
type fakeStore struct {
	mu     sync.Mutex
	fails  error         // what calls end with
	hangs  bool          // until their time is up
	takes  time.Duration // each call
	left   int           // of the limit
	calls  []string
	opened int
	open   int
}

func (f *fakeStore) call(ctx context.Context, what string) error {
	f.mu.Lock()
	f.calls = append(f.calls, what)
	fails, hangs, takes := f.fails, f.hangs, f.takes
	f.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return ctx.Err()
	}
	time.Sleep(takes)
	return fails
}

func (f *fakeStore) take(ctx context.Context, q question) (answer, error) {
	if err := f.call(ctx, "take "+q.policy); err != nil {
		return answer{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.left == 0 {
		return answer{known: true, level: level{wait: int64(time.Second)}}, nil
	}
	f.left--
	return answer{ok: true, known: true, level: level{remaining: int64(f.left), full: int64(time.Second)}, part: 7}, nil
}

func (f *fakeStore) giveBack(ctx context.Context, q question, part int64) error {
	if part == 7 {
		f.left++
	}
	return f.call(ctx, "give "+q.policy)
}

func (f *fakeStore) probe(ctx context.Context) error { return f.call(ctx, "probe") }

func (f *fakeStore) close() { f.is(func() { f.open-- }) }

// opens returns how often it was opened, and is open.
func (f *fakeStore) opens() [2]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return [2]int{f.opened, f.open}
}

func (f *fakeStore) is(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// said returns the calls since it was asked before.
func (f *fakeStore) said() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	calls := f.calls
	f.calls = nil
	return calls
}

// events are what a store has told.
type events struct {
	mu  sync.Mutex
	all []string
}

func (e *events) tell(ev exchange.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, ev.Kind+" "+ev.Name+" "+ev.From+">"+ev.To)
}

func storeOn(f *fakeStore, tell func(exchange.Event), change ...func(*StoreConfig)) *Store {
	var c StoreConfig
	c.SetDefaults()
	c.RedisURL = "redis://nowhere"
	for _, change := range change {
		change(&c)
	}
	if tell == nil {
		tell = func(exchange.Event) {}
	}
	return newStore("shared", c, func() (backend, error) {
		f.is(func() { f.opened, f.open = f.opened+1, f.open+1 })
		return f, nil
	}, tell)
}

// stored returns the policy "RATE, in a store, else ON FAILURE".
func stored(rate, onFailure string) Config {
	c := config(rate, 0)
	c.Store, c.OnStoreFailure = "shared", onFailure
	return c
}

func limiterIn(t testing.TB, name string, c Config, s *Store) *Limiter {
	b := NewBuckets(c)
	t.Cleanup(b.Close)
	return New(name, c, b, s)
}

func TestAFailingStoreCostsNothing(t *testing.T) {
	for name, fail := range map[string]func(*fakeStore){
		"refuses": func(f *fakeStore) { f.fails = errors.New("connection refused") },
		"hangs":   func(f *fakeStore) { f.hangs = true },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, heard := &fakeStore{left: 1000}, &events{}
				s := storeOn(f, heard.tell)
				g := NewGate(limiterIn(t, "all", stored("1000/s", Local), s))
				f.is(func() { fail(f) })
				begin := time.Now()
				for range tolerance {
					ask(t, g)
				}
				if took := time.Since(begin); took > tolerance*50*time.Millisecond {
					t.Errorf("the first %d took %v, want no more than a timeout each", tolerance, took)
				}
				f.said()
				begin = time.Now()
				for range 500 {
					if got := ask(t, g); got.Refused != "" {
						t.Fatalf("refused by %s, want none", got.Refused)
					}
				}
				if took := time.Since(begin); took != 0 {
					t.Errorf("500 requests waited %v, want none to wait", took)
				}
				if calls := f.said(); len(calls) != 0 {
					t.Errorf("the store was asked %v, want nothing", calls)
				}
				if s.Status().Problem == "" {
					t.Error("Status().Problem is empty, want why")
				}

				// It comes back, which only a probe finds out, beside the requests.
				f.is(func() { f.fails, f.hangs, f.takes = nil, false, 20*time.Millisecond })
				time.Sleep(firstPause)
				begin = time.Now()
				for range 10 {
					ask(t, g)
				}
				if took := time.Since(begin); took != 0 {
					t.Errorf("requests beside the probe waited %v, want none to wait", took)
				}
				time.Sleep(20 * time.Millisecond)
				synctest.Wait()
				if calls := f.said(); !slices.Equal(calls, []string{"probe"}) {
					t.Errorf("the store was asked %v, want one probe", calls)
				}
				ask(t, g)
				if calls := f.said(); !slices.Equal(calls, []string{"take all"}) {
					t.Errorf("the store was asked %v, want the request", calls)
				}
				if want := []string{"store shared answering>failing", "store shared failing>answering"}; !slices.Equal(heard.all, want) {
					t.Errorf("told %v, want %v", heard.all, want)
				}
			})
		})
	}
}

func TestProbesBecomeRare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeStore{fails: errors.New("no")}
		g := NewGate(limiterIn(t, "all", stored("1000000/s", Allow), storeOn(f, nil)))
		probes := func(d time.Duration) int {
			f.said()
			for end := time.Now().Add(d); time.Now().Before(end); {
				ask(t, g)
				time.Sleep(50 * time.Millisecond)
			}
			return len(f.said())
		}
		if got := probes(time.Second) - tolerance; got != 2 { // after 250ms and 750ms
			t.Errorf("%d probes in the first second, want 2", got)
		}
		probes(time.Minute)
		if got := probes(time.Minute); got < 11 || got > 12 {
			t.Errorf("%d probes in a minute, want one each %v", got, longestPause)
		}
	})
}

func TestAStoreThatFailsNowAndThenIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeStore{left: 1000}
		s := storeOn(f, nil)
		g := NewGate(limiterIn(t, "all", stored("1000/s", Local), s))
		for range 20 {
			for i := range tolerance {
				f.is(func() { f.fails = nil })
				if i > 0 {
					f.is(func() { f.fails = errors.New("no") })
				}
				ask(t, g)
			}
		}
		if got := len(f.said()); got != 20*tolerance {
			t.Errorf("the store was asked %d times, want every time", got)
		}
		want := StoreStatus{Name: "shared", Answered: 20, Failed: 40}
		got := s.Status()
		got.Took, got.TookSum = nil, 0
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Status() (-want +got):\n%s", diff)
		}
	})
}

func TestWhatHoldsWithoutTheStore(t *testing.T) {
	tests := []struct {
		onFailure string
		want      []string // what each request gets
	}{
		{"", []string{"broken", "broken", "rate_limited"}}, // local
		{Local, []string{"broken", "broken", "rate_limited"}},
		{Allow, []string{"broken", "broken", "broken"}},
		{Deny, []string{"store_unavailable", "store_unavailable", "store_unavailable"}},
	}
	for _, tt := range tests {
		t.Run("onStoreFailure "+tt.onFailure, func(t *testing.T) {
			f := &fakeStore{fails: errors.New("no")}
			g := NewGate(limiterIn(t, "all", stored("2/h", tt.onFailure), storeOn(f, nil)))
			var got []string
			for range tt.want {
				r, record := request(nil)
				refusal, ok := errors.AsType[*exchange.Refusal](g.Check(r))
				switch {
				case ok && refusal.Header.Get("Retry-After") == "":
					t.Errorf("%v has no Retry-After", refusal)
					fallthrough
				case ok:
					got = append(got, string(refusal.Reason))
				default:
					d := record.Decisions()[0]
					got = append(got, string(d.Outcome))
					if d.Reason != exchange.StoreUnavailable || d.Detail == "" {
						t.Errorf("noted %+v, want why the store was not heard", d)
					}
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Requests that waited for a store count from when they are counted.
func TestWhatAStoreTookIsNotForgiven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeStore{hangs: true}
		slow := func(c *StoreConfig) { c.Timeout = 5 * time.Second }
		c := stored("1/s", Local)
		c.Burst = 5
		g := NewGate(limiterIn(t, "all", c, storeOn(f, nil, slow)))
		for range tolerance {
			go ask(t, g)
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if got, want := ask(t, g).Limit, []string{`"all";r=1;t=4`}; !slices.Equal(got, want) {
			t.Errorf("the fourth of 5 is told %v, want %v", got, want)
		}
	})
}

// Somebody who is told of the trouble may take his time; no request waits for him.
func TestNoRequestWaitsForWhoIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slowly := func(exchange.Event) { time.Sleep(time.Minute) }
		g := NewGate(limiterIn(t, "all", stored("1000/s", Local), storeOn(&fakeStore{fails: errors.New("no")}, slowly)))
		for range tolerance {
			go ask(t, g)
		}
		synctest.Wait()
		begin := time.Now()
		ask(t, g)
		if took := time.Since(begin); took != 0 {
			t.Errorf("a request waited %v, want none to wait", took)
		}
		time.Sleep(time.Minute)
	})
}

func TestTheStoreIsAskedLast(t *testing.T) {
	shared, service := &fakeStore{left: 100}, &fakeStore{left: 100}
	s := storeOn(shared, nil)
	rls := storeOn(service, nil, func(c *StoreConfig) { c.RedisURL, c.Service, c.Domain = "", "nowhere:1", "d" })
	outside := limiterIn(t, "outside", stored("100/s", Local), rls)
	global := limiterIn(t, "global", stored("100/s", Local), s)
	own := limiter(t, "own", config("1/h", 2))
	g := NewGate(outside, global, own)

	ask(t, g)
	if got := slices.Concat(shared.said(), service.said()); !slices.Equal(got, []string{"take global", "take outside"}) {
		t.Errorf("asked %v", got)
	}
	service.left = 0
	got := ask(t, g)
	if got.Refused != "outside" {
		t.Errorf("refused by %q, want outside", got.Refused)
	}
	if calls := shared.said(); !slices.Equal(calls, []string{"take global", "give global"}) || shared.left != 99 {
		t.Errorf("the shared limit was asked %v and has %d left, want it to have all but one back", calls, shared.left)
	}
	if want := `"own";r=1;t=3600`; got.Limit[len(got.Limit)-1] != want {
		t.Errorf("RateLimit = %v, want %s at its end: it has its own back", got.Limit, want)
	}
	service.said()
	ask(t, NewGate(own))
	if got := ask(t, g); got.Refused != "own" || len(shared.said())+len(service.said()) != 0 {
		t.Errorf("refused by %s, want by own, and no store asked", got.Refused)
	}
}

func TestAStoreIsClosedAfterItsLastCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeStore{left: 10, takes: 10 * time.Millisecond}
		s := storeOn(f, nil)
		s.Close()
		wants := func(when string, opened, open int) {
			t.Helper()
			synctest.Wait()
			if got := f.opens(); got != [2]int{opened, open} {
				t.Errorf("%s it was opened %d times and is open %d times, want %d and %d", when, got[0], got[1], opened, open)
			}
		}
		wants("never asked", 0, 0)
		s = storeOn(f, nil)
		g := NewGate(limiterIn(t, "all", stored("1000/s", Deny), s))
		ask(t, g)
		go ask(t, g)
		synctest.Wait()
		s.Close()
		wants("closed during a call", 1, 1)
		time.Sleep(20 * time.Millisecond)
		wants("after that call", 1, 0)
		// A request that met the policy before the reload.
		if got := ask(t, g); got.Refused != "" {
			t.Errorf("a late request is refused by %s, want none", got.Refused)
		}
		wants("after a late request", 2, 0)
	})
}

func TestVersionsOfAPolicyAreTold(t *testing.T) {
	base := stored("50/s", Local)
	same := base
	same.Line, same.OnStoreFailure, same.MaxKeys, same.Mode = 99, Deny, 7, exchange.ModeShadow
	if version(base) != version(same) {
		t.Error("what does not change the meaning of a bucket changes the version")
	}
	for name, change := range map[string]func(*Config){
		"rate":      func(c *Config) { c.Rate.Count++ },
		"per":       func(c *Config) { c.Rate.Per = time.Minute },
		"burst":     func(c *Config) { c.Burst = 7 },
		"key":       func(c *Config) { c.Key = []string{"ip"} },
		"algorithm": func(c *Config) { c.Algorithm = SlidingWindow },
	} {
		other := base
		change(&other)
		if version(base) == version(other) {
			t.Errorf("another %s has the same version", name)
		}
	}
}

func BenchmarkStore(b *testing.B) {
	for name, fails := range map[string]error{"answering": nil, "failing": errors.New("no")} {
		f := &quickStore{fails}
		c := StoreConfig{RedisURL: "redis://nowhere", Timeout: time.Second}
		s := newStore("shared", c, func() (backend, error) { return f, nil }, func(exchange.Event) {})
		g := NewGate(limiterIn(b, "all", stored("1000000/s", Allow), s))
		b.Run(name, func(b *testing.B) { benchmark(b, g) })
	}
}

// quickStore says the same at once.
type quickStore struct{ fails error }

func (q *quickStore) take(context.Context, question) (answer, error) {
	return answer{ok: true, known: true}, q.fails
}
func (q *quickStore) giveBack(context.Context, question, int64) error { return nil }
func (q *quickStore) probe(context.Context) error                     { return q.fails }
func (q *quickStore) close()                                          {}
