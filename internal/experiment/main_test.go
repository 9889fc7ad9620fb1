package experiment

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"sidecar/internal/exchange"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fault is a Switch that anybody can see through.
type fault struct {
	name    string
	refuses error         // what Try and On say
	panics  bool          // where On is called
	shakes  bool          // when it is on
	takes   time.Duration // to be switched on, of the time that it is on

	mu   sync.Mutex // guards on
	on   *hold
	last *hold
}

type hold struct {
	f        *fault
	over     chan struct{}
	once     sync.Once
	released string
	injected uint64
}

func (f *fault) Name() string { return f.name }

func (f *fault) Try() error { return f.refuses }

func (f *fault) On(d time.Duration, _ exchange.Who) (Hold, error) {
	if f.panics {
		panic("no")
	}
	if f.refuses != nil {
		return nil, f.refuses
	}
	defer func() { time.Sleep(f.takes) }()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.on = &hold{f: f, over: make(chan struct{}), injected: 7}
	f.last = f.on
	h := f.on
	time.AfterFunc(d, h.end) // as the Switch does
	return h, nil
}

func (f *fault) isOn() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.on != nil
}

func (h *hold) end() {
	h.once.Do(func() { close(h.over) })
	h.f.mu.Lock()
	defer h.f.mu.Unlock()
	if h.f.on == h {
		h.f.on = nil
	}
}

func (h *hold) Over() <-chan struct{} {
	if h.f.shakes {
		panic("no")
	}
	return h.over
}

func (h *hold) Injected() uint64   { return h.injected }
func (h *hold) Release(why string) { h.released = why; h.end() }

// lab is an experiment under way, and the traffic that it measures.
type lab struct {
	*Experiments
	t     *testing.T
	fault *fault
	id    string

	mu   sync.Mutex // guards told
	told []string
}

// claim is what most experiments here say: 10 s, 20 s, 10 s.
func claim(change func(*Config)) Config {
	percent := 5.0
	c := Config{
		Name: "drill", SteadyState: &exchange.SteadyState{ErrorPercent: &percent, P99: 500 * time.Millisecond, MinRequests: 10},
		Baseline: 10 * time.Second, Duration: 20 * time.Second, Recovery: 10 * time.Second,
	}
	if change != nil {
		change(&c)
	}
	return c
}

var ann = exchange.Who{Name: "ann"}

func begin(t *testing.T, change func(*Config)) *lab {
	t.Helper()
	l := &lab{t: t, fault: &fault{name: "chaos"}}
	l.Experiments = New(func(e exchange.Event) error {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.told = append(l.told, e.From+"->"+e.To+" by "+e.Who.String())
		return nil
	})
	l.start(claim(change), 0)
	return l
}

func (l *lab) start(c Config, lease time.Duration) {
	l.t.Helper()
	r, err := l.Start(c, l.fault, []string{"orders"}, lease, ann)
	if err != nil {
		l.t.Fatal(err)
	}
	l.id = r.ID
}

// request is one exchange of the route orders, with what the script says of it.
type request struct {
	route  string
	status int
	took   time.Duration
	reason exchange.Reason
	grpc   string

	attempts string // of each, a word: ok, delayed, aborted, corrupt, reset
	decided  []exchange.Decision
}

// send lets a request begin and end.
func (l *lab) send(q request) { l.open(q)() }

// open lets a request begin, and returns what ends it.
func (l *lab) open(q request) (end func()) {
	if q.route == "" {
		q.route = "orders"
	}
	r := &exchange.Record{Route: q.route, Start: time.Now()}
	ctx := l.Begin(context.Background(), r)
	return func() {
		q.fill(r)
		r.Seal()
		l.End(ctx, r)
	}
}

func (q request) fill(r *exchange.Record) {
	r.Status, r.Took, r.GRPCStatus = q.status, q.took, q.grpc
	if q.status == 0 {
		r.Status = 200
	}
	met := func(reason exchange.Reason) {
		r.Note(exchange.Decision{Kind: exchange.Fault, Policy: "chaos", Outcome: exchange.Act, Reason: reason})
	}
	for _, word := range strings.Fields(q.attempts) {
		r.Answered = &exchange.Attempt{Upstream: "app"}
		switch word {
		case "delayed":
			met(exchange.FaultDelay)
		case "aborted":
			met(exchange.FaultAbort)
			r.Answered.Spoiled = []string{"chaos"}
		case "corrupt":
			met(exchange.FaultBody)
			r.Answered.Spoiled = []string{"chaos"}
		case "reset":
			met(exchange.FaultAbort)
			r.Answered = nil
		}
	}
	for _, d := range q.decided {
		r.Note(d)
	}
	r.Because(q.reason)
}

// traffic sends a request every 100 ms, for d.
func (l *lab) traffic(d time.Duration, q request) {
	for range d / (100 * time.Millisecond) {
		l.send(q)
		time.Sleep(100 * time.Millisecond)
	}
	synctest.Wait()
}

// report returns how it stands.
func (l *lab) report() Report {
	l.t.Helper()
	synctest.Wait()
	r, err := l.Get(l.id)
	if err != nil {
		l.t.Fatal(err)
	}
	return r
}

// wantEnd tells how it has ended, and that the fault is off.
func (l *lab) wantEnd(want Outcome, why string) Report {
	l.t.Helper()
	r := l.report()
	if r.Phase != Ended || r.Outcome != want || !strings.Contains(r.Why, why) {
		l.t.Errorf("ended = %s, %s: %q, want %s: %q", r.Phase, r.Outcome, r.Why, want, why)
	}
	if l.fault.isOn() {
		l.t.Error("the fault is still on")
	}
	return r
}

var errNo = errors.New("no")
