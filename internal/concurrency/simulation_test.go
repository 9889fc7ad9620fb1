package concurrency

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sidecar/internal/exchange"
)

// service is a model of an upstream: so many workers, and before them a queue
// without an end. It does not notice that a client has left: work that nobody
// waits for is done all the same, as most servers do it.
type service struct {
	mu      sync.Mutex
	workers int
	busy    int
	queue   []chan struct{}
	takes   func() time.Duration
	done    int // calls that were worked on
	rng     *rand.Rand
}

func newService(workers int, takes func(*rand.Rand) time.Duration) *service {
	s := &service{workers: workers, rng: rand.New(rand.NewPCG(1, 2))}
	s.takes = func() time.Duration { return takes(s.rng) }
	return s
}

// How long a call takes.
func exactly(d time.Duration) func(*rand.Rand) time.Duration {
	return func(*rand.Rand) time.Duration { return d }
}

func about(d time.Duration) func(*rand.Rand) time.Duration { // from half to one and a half
	return func(r *rand.Rand) time.Duration { return d/2 + time.Duration(r.Float64()*float64(d)) }
}

func memoryless(d time.Duration) func(*rand.Rand) time.Duration {
	return func(r *rand.Rand) time.Duration { return time.Duration(r.ExpFloat64() * float64(d)) }
}

// become changes how many workers there are, and how long a call takes.
func (s *service) become(workers int, takes func(*rand.Rand) time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.workers, s.takes = workers, func() time.Duration { return takes(s.rng) }
	s.work()
}

// work gives what is queued to who is idle. s.mu is held.
func (s *service) work() {
	for s.busy < s.workers && len(s.queue) > 0 {
		job := s.queue[0]
		s.queue = s.queue[1:]
		s.busy++
		time.AfterFunc(s.takes(), func() {
			close(job)
			s.mu.Lock()
			defer s.mu.Unlock()
			s.busy--
			s.done++
			s.work()
		})
	}
}

// RoundTrip queues r and waits for its answer, or for its deadline.
func (s *service) RoundTrip(r *http.Request) (*http.Response, error) {
	exchange.From(r.Context()).NextAttempt()
	job := make(chan struct{})
	s.mu.Lock()
	s.queue = append(s.queue, job)
	s.work()
	s.mu.Unlock()
	select {
	case <-job:
		return exchange.NewResponse(r, 200, "", nil, nil), nil
	case <-r.Context().Done():
		return nil, exchange.Ended(r.Context())
	}
}

// world is a service behind a limit, and its clients.
type world struct {
	t       *testing.T
	service *service
	state   *State
	rt      http.RoundTripper
	rng     *rand.Rand
	stop    chan struct{}
	clients sync.WaitGroup

	mu       sync.Mutex // guards all below
	offered  int
	answered int
	refused  int
	late     int
}

func newWorld(t *testing.T, s *service, c *Config) *world {
	w := &world{t: t, service: s, rt: s, rng: rand.New(rand.NewPCG(3, 4)), stop: make(chan struct{})}
	if c != nil {
		w.state = NewState("adaptive@orders", *c)
		w.rt = New(*c, w.state, rand.Float64).Wrap(s)
	}
	return w
}

// call makes a call whose client waits so long for its answer.
func (w *world) call(patience time.Duration, class string) error {
	rec := &exchange.Record{Deadline: time.Now().Add(patience)}
	late := &exchange.Failure{Kind: exchange.FailedTimeout, Err: context.DeadlineExceeded}
	ctx, cancel := context.WithTimeoutCause(exchange.With(context.Background(), rec), patience, late)
	defer cancel()
	r := httptest.NewRequest("GET", "/", nil).WithContext(ctx)
	r.Header.Set("X-Priority", class)
	resp, err := w.rt.RoundTrip(r)
	if err == nil {
		_ = resp.Body.Close()
	}
	_, refused := errors.AsType[*exchange.Refusal](err)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.offered++
	switch {
	case err == nil:
		w.answered++
	case refused:
		w.refused++
	default:
		w.late++
	}
	return err
}

// closed are n clients that ask again as soon as they are answered, and a
// little later when they are not.
func (w *world) closed(n int, patience time.Duration) {
	for range n {
		w.clients.Go(func() {
			for !w.over() {
				if w.call(patience, "") != nil {
					time.Sleep(50 * time.Millisecond)
				}
			}
		})
	}
}

// open are clients without number: so many calls come in a second, whatever
// becomes of those before them.
func (w *world) open(perSecond float64, patience time.Duration) {
	w.clients.Go(func() {
		for !w.over() {
			w.clients.Go(func() { _ = w.call(patience, "") })
			time.Sleep(time.Duration(w.rng.ExpFloat64() / perSecond * float64(time.Second)))
		}
	})
}

func (w *world) over() bool {
	select {
	case <-w.stop:
		return true
	default:
		return false
	}
}

// end sends the clients home.
func (w *world) end() {
	close(w.stop)
	w.clients.Wait()
	time.Sleep(time.Hour) // what is left of the service's queue
}

// watch lets d pass, and returns the average, the least and the highest limit
// in it. It looks ten times a second.
func (w *world) watch(d time.Duration) (mean, low, high float64) {
	low = 1e9
	n := 0
	for end := time.Now().Add(d); time.Now().Before(end); n++ {
		time.Sleep(100 * time.Millisecond)
		limit := float64(w.state.Status().Limit)
		mean += limit
		low, high = min(low, limit), max(high, limit)
	}
	return mean / float64(n), low, high
}

func adaptive(change ...func(*Config)) *Config {
	var c Config
	c.SetDefaults()
	c.Algorithm = Gradient
	for _, f := range change {
		f(&c)
	}
	return &c
}

// worked returns how many calls the service works on in d.
func (w *world) worked(d time.Duration) int {
	count := func() int {
		w.service.mu.Lock()
		defer w.service.mu.Unlock()
		return w.service.done
	}
	before := count()
	time.Sleep(d)
	return count() - before
}

// answers returns how many calls were answered, and how many came too late.
func (w *world) answers() (answered, late int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.answered, w.late
}

const takes20 = 20 * time.Millisecond

// Ten workers and 60 clients: without a limit 60 calls are in flight, and each
// takes six times as long as it needs. The limit is to settle where all workers
// have something to do, and hardly anything waits for them.
func TestTheLimitSettlesAtTheCapacity(t *testing.T) {
	tests := []struct {
		name  string
		takes func(*rand.Rand) time.Duration
	}{
		{"calls that are all alike", exactly(takes20)},
		{"calls that vary by a half", about(takes20)},
		{"calls of which many are short and some are long", memoryless(takes20)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, newService(10, tt.takes), adaptive())
				w.closed(60, time.Second)
				time.Sleep(4 * time.Second)
				mean, low, high := w.watch(8 * time.Second)
				t.Logf("limit %.1f on average, %.0f to %.0f; baseline %.1f ms", mean, low, high, 1000*w.state.Status().BaselineSeconds)
				if mean < 10 || mean > 17 { // 11 to 14, unless all calls keep step
					t.Errorf("limit %.1f on average, want 10 to 17", mean)
				}
				if high > 18 {
					t.Errorf("limit up to %.0f, want 18 at most", high)
				}
				if n := w.worked(2 * time.Second); n < 900 { // of 1000
					t.Errorf("%d calls served in 2s, want nearly 1000: the workers idle", n)
				}
				w.end()
			})
		})
	}
}

func TestTheLimitFollowsTheCapacity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newService(10, about(takes20)), adaptive())
		w.closed(60, time.Second)
		time.Sleep(5 * time.Second)
		steps := []struct {
			name      string
			workers   int
			takes     time.Duration
			within    time.Duration
			low, high float64
		}{
			{"half the workers", 5, takes20, time.Second, 5, 9},
			{"four times as many", 20, takes20, 2 * time.Second, 20, 27},
			{"half of those", 10, takes20, 2 * time.Second, 10, 15},
			{"the same, each five times as slow", 10, 5 * takes20, 8 * time.Second, 10, 16},
			{"and as quick as before", 10, takes20, 5 * time.Second, 10, 15},
			{"one, which is less than the minimum", 1, takes20, 5 * time.Second, 4, 8},
			{"more than there are clients for", 200, takes20, 5 * time.Second, 60, 70},
		}
		for _, step := range steps {
			w.service.become(step.workers, about(step.takes))
			time.Sleep(step.within)
			mean, low, high := w.watch(2 * time.Second)
			t.Logf("%s: limit %.1f, %.0f to %.0f; baseline %.1f ms", step.name, mean, low, high, 1000*w.state.Status().BaselineSeconds)
			if mean < step.low || mean > step.high {
				t.Errorf("%s: limit %.1f after %v, want %.0f to %.0f", step.name, mean, step.within, step.low, step.high)
			}
		}
		w.end()
	})
}

// Three times as many calls come as can be served, from clients that do not wait
// for each other and give up after 200 ms.
func TestOverloadIsShed(t *testing.T) {
	const capacity = 500 // calls a second: ten workers, 20 ms
	tests := []struct {
		name      string
		config    *Config
		low, high float64 // share of the capacity that is answered in time
	}{
		{"without a limit nearly nothing is in time", nil, 0, .1},
		{"a limit that is far too high is none", adaptive(func(c *Config) { c.Algorithm, c.Max = Static, 1000 }), 0, .1},
		{"a limit that somebody has measured", adaptive(func(c *Config) { c.Algorithm, c.Max = Static, 13 }), .95, 1.02},
		{"a limit that is found", adaptive(), .95, 1.02},
		{"a limit that is found, without a queue", adaptive(func(c *Config) { c.Queue.Max = 0 }), .9, 1.02},
		{"a limit that is found from far too high a minimum", adaptive(func(c *Config) { c.Min = 40 }), .85, 1.02},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, newService(10, memoryless(takes20)), tt.config)
				w.open(3*capacity, 200*time.Millisecond)
				time.Sleep(2 * time.Second)
				before, lateBefore := w.answers()
				const seconds = 4
				time.Sleep(seconds * time.Second)
				answered, late := w.answers()
				share := float64(answered-before) / (seconds * capacity)
				t.Logf("%.1f %% of the capacity is answered in time; %d calls a second come too late", 100*share, (late-lateBefore)/seconds)
				if share < tt.low || share > tt.high {
					t.Errorf("%.1f %% of the capacity is answered in time, want %.0f to %.0f", 100*share, 100*tt.low, 100*tt.high)
				}
				w.end()
			})
		})
	}
}

// Who is shed first is shed, and nobody else: a third of a load of three times
// the capacity is normal, and passes.
func TestOverloadIsShedByPriority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newService(10, about(takes20)), adaptive(shedFirst("batch")))
		passed := map[string]int{}
		calls := func(class string, perSecond int) {
			w.clients.Go(func() {
				for !w.over() {
					w.clients.Go(func() {
						if w.call(300*time.Millisecond, class) == nil {
							w.mu.Lock()
							passed[class]++
							w.mu.Unlock()
						}
					})
					time.Sleep(time.Second / time.Duration(perSecond))
				}
			})
		}
		calls("normal", 400)
		calls("batch", 1100)
		time.Sleep(5 * time.Second)
		w.mu.Lock()
		normal, batch := passed["normal"], passed["batch"]
		w.mu.Unlock()
		t.Logf("of 2000 normal calls %d pass, of 5500 batch calls %d", normal, batch)
		if normal < 1970 {
			t.Errorf("%d of 2000 normal calls pass, want nearly all", normal)
		}
		if batch < 250 || batch > 600 {
			t.Errorf("%d batch calls pass, want what is left: nearly 500", batch)
		}
		w.end()
	})
}

// A service that hangs takes the limit down to its minimum, and is served as
// before soon after it has recovered: the baseline is not forgotten meanwhile.
func TestTheLimitRecoversAfterAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newService(10, about(takes20)), adaptive())
		w.closed(60, 500*time.Millisecond)
		time.Sleep(5 * time.Second)
		was := w.state.Status().BaselineSeconds
		w.service.become(0, about(takes20))
		time.Sleep(30 * time.Second)
		st := w.state.Status()
		if st.Limit != defaultMin {
			t.Errorf("limit %d after half a minute in which all hangs, want %d", st.Limit, defaultMin)
		}
		if st.BaselineSeconds > 1.2*was {
			t.Errorf("baseline %.4fs after half a minute in which all hangs, want the %.4fs of before", st.BaselineSeconds, was)
		}
		w.service.become(10, about(takes20))
		time.Sleep(2 * time.Second)
		if n := w.worked(2 * time.Second); n < 900 {
			t.Errorf("%d calls served in 2s, 2s after the outage, want nearly 1000", n)
		}
		if mean, _, _ := w.watch(3 * time.Second); mean < 10 || mean > 16 {
			t.Errorf("limit %.1f after the outage, want 10 to 16", mean)
		}
		w.end()
	})
}

// Half an hour of overload in which the service can do less than its minimum
// limit asks for: what it takes then must not become what is normal, bit by bit.
func TestALongIncidentDoesNotRaiseTheLimit(t *testing.T) {
	if testing.Short() {
		t.Skip("half an hour, simulated")
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newService(10, about(10*takes20)), adaptive())
		w.closed(14, 5*time.Second)
		time.Sleep(20 * time.Second)
		w.service.become(3, about(10*takes20))
		time.Sleep(20 * time.Second)
		_, _, high := w.watch(30 * time.Minute)
		t.Logf("limit %.0f at most, baseline %.0f ms", high, 1000*w.state.Status().BaselineSeconds)
		if high > 9 {
			t.Errorf("limit up to %.0f for 3 workers, want 9 at most", high)
		}
		w.end()
	})
}
