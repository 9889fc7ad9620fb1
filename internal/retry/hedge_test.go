package retry

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sidecar/internal/exchange"
)

const ms = time.Millisecond

func hedge(after time.Duration, most int) func(*Config) {
	return func(c *Config) {
		c.Hedge = &Hedge{After: HedgeAfter{Fixed: after}, Max: most}
		c.Backoff = Backoff{}
	}
}

// slow answers after d, unless it is given up before.
type slow struct {
	d      time.Duration
	status int
	fails  error // in place of an answer
}

func failed(kind exchange.FailureKind) error {
	return &exchange.Failure{Kind: kind, Err: errors.New("scripted")}
}

// runs is an upstream that may be called several times at once, in the order
// of a script.
type runs struct {
	t      *testing.T
	script []slow

	mu    sync.Mutex // guards all below
	begun []time.Duration
	start time.Time
	ends  []string // how each attempt ended: answered, failed, or why it was given up
	open  int      // bodies that nobody has closed
	ctxs  []context.Context
	wg    sync.WaitGroup // the attempts
}

func (u *runs) RoundTrip(r *http.Request) (*http.Response, error) {
	u.wg.Add(1)
	defer u.wg.Done()
	n, s := u.begin(r)
	select {
	case <-time.After(s.d):
	case <-r.Context().Done():
		u.end(n, context.Cause(r.Context()).Error())
		return nil, r.Context().Err() // as a transport may word it
	}
	if s.fails != nil {
		u.end(n, "failed")
		return nil, s.fails
	}
	u.end(n, "answered")
	resp := exchange.NewResponse(r, s.status, "", []byte("answer"), nil)
	u.mu.Lock()
	defer u.mu.Unlock()
	u.open++
	resp.Body = &openBody{resp.Body, u}
	return resp, nil
}

func (u *runs) begin(r *http.Request) (int, slow) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.start.IsZero() {
		u.start = time.Now()
	}
	n := len(u.begun)
	u.begun = append(u.begun, time.Since(u.start))
	u.ends = append(u.ends, "")
	u.ctxs = append(u.ctxs, r.Context())
	if n >= len(u.script) {
		u.t.Errorf("attempt %d comes after the end of the script", n+1)
		return n, slow{0, 500, nil}
	}
	return n, u.script[n]
}

func (u *runs) end(n int, how string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.ends[n] = how
}

type openBody struct {
	io.ReadCloser
	u *runs
}

func (b *openBody) Close() error {
	b.u.mu.Lock()
	defer b.u.mu.Unlock()
	b.u.open--
	return b.ReadCloser.Close()
}

// send sends r through a retry, and waits until all attempts have ended.
func (u *runs) send(c Config, b *Budget, r *http.Request) *exchanged {
	x := &exchanged{record: &exchange.Record{}}
	if rec, ok := r.Context().Value(recordOf{}).(*exchange.Record); ok {
		x.record = rec
	}
	var times *Times
	if c.Hedge != nil && c.Hedge.After.Percentile > 0 {
		times = NewTimes(c.Hedge.After.Percentile)
	}
	start := time.Now()
	r = r.WithContext(exchange.With(r.Context(), x.record))
	x.resp, x.err = New("safe", c, b, times, half).Wrap(u).RoundTrip(r)
	x.took = time.Since(start)
	u.wg.Wait()
	return x
}

func TestHedges(t *testing.T) {
	lost := "cancelled: another attempt answered first"
	tests := []struct {
		name   string
		change func(*Config)
		script []slow
		want   string
		took   time.Duration
		begun  []time.Duration
		ends   []string
		notes  []string
	}{
		{
			"a quick answer has none", nil,
			[]slow{{99 * ms, 200, nil}},
			"200", 99 * ms,
			[]time.Duration{0},
			[]string{"answered"},
			nil,
		},
		{
			"the hedge answers first", nil,
			[]slow{{time.Hour, 200, nil}, {20 * ms, 201, nil}},
			"201", 120 * ms,
			[]time.Duration{0, 100 * ms},
			[]string{lost, "answered"},
			[]string{"act hedged: attempt 2 after 100ms without an answer", "pass hedge_won: attempt 2"},
		},
		{
			"the first attempt answers first", nil,
			[]slow{{110 * ms, 200, nil}, {20 * ms, 201, nil}},
			"200", 110 * ms,
			[]time.Duration{0, 100 * ms},
			[]string{"answered", lost},
			[]string{"act hedged: attempt 2 after 100ms without an answer", "pass hedge_lost: attempt 2"},
		},
		{
			"a hedge that is answered badly leaves the first attempt alone", nil,
			[]slow{{150 * ms, 200, nil}, {20 * ms, 503, nil}},
			"200", 150 * ms,
			[]time.Duration{0, 100 * ms},
			[]string{"answered", "answered"},
			[]string{"act hedged: attempt 2 after 100ms without an answer", "pass hedge_lost: attempt 2"},
		},
		{
			"and the other way about", nil,
			[]slow{{110 * ms, 503, nil}, {50 * ms, 200, nil}},
			"200", 150 * ms,
			[]time.Duration{0, 100 * ms},
			[]string{"answered", "answered"},
			[]string{"act hedged: attempt 2 after 100ms without an answer", "pass hedge_won: attempt 2"},
		},
		{
			"a hedge that fails leaves the first attempt alone", nil,
			[]slow{{150 * ms, 200, nil}, {0, 0, failed(exchange.FailedConnect)}},
			"200", 150 * ms,
			[]time.Duration{0, 100 * ms},
			[]string{"answered", "failed"},
			[]string{"act hedged: attempt 2 after 100ms without an answer", "pass hedge_lost: attempt 2"},
		},
		{
			"even in a way that is not repeated", nil,
			[]slow{{150 * ms, 200, nil}, {0, 0, failed(exchange.FailedProtocol)}},
			"200", 150 * ms,
			[]time.Duration{0, 100 * ms},
			[]string{"answered", "failed"},
			[]string{"act hedged: attempt 2 after 100ms without an answer", "pass hedge_lost: attempt 2"},
		},
		{
			"both fail, and what is left of maxAttempts repeats them", nil,
			[]slow{{110 * ms, 503, nil}, {50 * ms, 0, failed(exchange.FailedReset)}, {0, 200, nil}},
			"200", 150 * ms,
			[]time.Duration{0, 100 * ms, 150 * ms},
			[]string{"answered", "failed", "answered"},
			[]string{
				"act hedged: attempt 2 after 100ms without an answer", "pass hedge_lost: attempt 2",
				"act 503: attempt 3 after 503", // an answer goes before a failure
			},
		},
		{
			"nothing is left of maxAttempts", func(c *Config) { c.MaxAttempts = 2 },
			[]slow{{110 * ms, 503, nil}, {50 * ms, 0, failed(exchange.FailedReset)}},
			"503", 150 * ms,
			[]time.Duration{0, 100 * ms},
			[]string{"answered", "failed"},
			[]string{"act hedged: attempt 2 after 100ms without an answer", "pass hedge_lost: attempt 2"},
		},
		{
			"max counts for the request, not for each attempt", func(c *Config) { c.MaxAttempts = 4 },
			[]slow{{110 * ms, 503, nil}, {20 * ms, 503, nil}, {150 * ms, 200, nil}},
			"200", 270 * ms,
			[]time.Duration{0, 100 * ms, 120 * ms},
			[]string{"answered", "answered", "answered"},
			[]string{
				"act hedged: attempt 2 after 100ms without an answer", "pass hedge_lost: attempt 2",
				"act 503: attempt 3 after 503",
			},
		},
		{
			"a repetition may be hedged", nil,
			[]slow{{0, 503, nil}, {time.Hour, 200, nil}, {20 * ms, 200, nil}},
			"200", 120 * ms,
			[]time.Duration{0, 0, 100 * ms},
			[]string{"answered", lost, "answered"},
			[]string{
				"act 503: attempt 2 after 503", "act hedged: attempt 3 after 100ms without an answer",
				"pass hedge_won: attempt 3",
			},
		},
		{
			"nothing is left of maxAttempts for another hedge", hedge(100*ms, 2),
			[]slow{{0, 503, nil}, {time.Hour, 200, nil}, {250 * ms, 200, nil}},
			"200", 350 * ms,
			[]time.Duration{0, 0, 100 * ms},
			[]string{"answered", lost, "answered"},
			[]string{
				"act 503: attempt 2 after 503", "act hedged: attempt 3 after 100ms without an answer",
				"pass hedge_won: attempt 3",
			},
		},
		{
			"two hedges", hedge(100*ms, 2),
			[]slow{{time.Hour, 200, nil}, {time.Hour, 200, nil}, {20 * ms, 201, nil}},
			"201", 220 * ms,
			[]time.Duration{0, 100 * ms, 200 * ms},
			[]string{lost, lost, "answered"},
			[]string{
				"act hedged: attempt 2 after 100ms without an answer", "act hedged: attempt 3 after 100ms without an answer",
				"pass hedge_lost: attempt 2", "pass hedge_won: attempt 3",
			},
		},
		{
			"perTryTimeout ends one, and the hedge goes on", perTry(150 * ms),
			[]slow{{time.Hour, 200, nil}, {80 * ms, 200, nil}},
			"200", 180 * ms,
			[]time.Duration{0, 100 * ms},
			[]string{"timeout: no response headers within perTryTimeout", "answered"},
			[]string{"act hedged: attempt 2 after 100ms without an answer", "pass hedge_won: attempt 2"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := policy(hedge(100*ms, 1))
				if tt.change != nil {
					tt.change(&c)
				}
				u := &runs{t: t, script: tt.script}
				b := generous()
				x := u.send(c, b, ask("GET", ""))
				if got := x.end(); got != tt.want || x.took != tt.took {
					t.Errorf("ends with %s after %v, want %s after %v", got, x.took, tt.want, tt.took)
				}
				if diff := cmp.Diff(tt.begun, u.begun); diff != "" {
					t.Errorf("attempts begin (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(tt.ends, u.ends); diff != "" {
					t.Errorf("attempts end (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(tt.notes, x.notes()); diff != "" {
					t.Errorf("decisions (-want +got):\n%s", diff)
				}
				if got, want := b.Status(), (BudgetStatus{First: 1, Retries: len(tt.begun) - 1}); got.First != want.First || got.Retries != want.Retries {
					t.Errorf("budget counts %+v, want %+v", got, want)
				}
				u.wantIntact(t, x)
			})
		})
	}
}

// wantIntact checks that the answer can be read to its end long after, and that
// nothing else is left of the attempts.
func (u *runs) wantIntact(t *testing.T, x *exchanged) {
	t.Helper()
	time.Sleep(time.Hour)
	open, running := u.left()
	if x.err == nil {
		if open != 1 {
			t.Errorf("%d bodies are open, want the answer's", open)
		}
		if len(u.ctxs) > 1 && running > 1 {
			t.Errorf("%d contexts have not ended, want the answer's at most", running)
		}
		if body, err := io.ReadAll(x.resp.Body); string(body) != "answer" || err != nil {
			t.Errorf("body is %q, %v, want the whole answer", body, err)
		}
		x.resp.Body.Close()
	}
	if open, _ := u.left(); open != 0 {
		t.Errorf("%d bodies are open, want none", open)
	}
}

// left returns how many bodies are open, and how many contexts have not ended.
func (u *runs) left() (open, running int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, ctx := range u.ctxs {
		if ctx.Err() == nil {
			running++
		}
	}
	return u.open, running
}

func TestTheWinnersContextLivesAsLongAsItsBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &runs{t: t, script: []slow{{time.Hour, 200, nil}, {0, 200, nil}}}
		x := u.send(policy(hedge(100*ms, 1)), generous(), ask("GET", ""))
		if err := u.ctxs[1].Err(); err != nil {
			t.Errorf("the winner's context has ended with %v before its body was closed", err)
		}
		x.resp.Body.Close()
		if u.ctxs[1].Err() == nil {
			t.Error("the winner's context goes on after its body was closed")
		}
	})
}

func TestWhatIsNeverHedged(t *testing.T) {
	upgrade := ask("GET", "")
	upgrade.Header.Set("Upgrade", "websocket")
	noBody := ask("GET", "")
	noBody.Body = http.NoBody
	tests := []struct {
		name    string
		request *http.Request
		change  func(*Config)
		want    int
	}{
		{"GET is", ask("GET", ""), nil, 2},
		{"GET with http.NoBody is", noBody, nil, 2},
		{"HEAD is", ask("HEAD", ""), nil, 2},
		{"GET with a body is not", ask("GET", "x"), nil, 1},
		{"PUT is not", ask("PUT", ""), nil, 1},
		{"DELETE is not", ask("DELETE", ""), nil, 1},
		{"OPTIONS is not", ask("OPTIONS", ""), nil, 1},
		{"POST is not, with an Idempotency-Key neither", keyed(ask("POST", "")), nil, 1},
		{"an upgrade is not", upgrade, nil, 1},
		{"GET is not where methods do not name it", ask("GET", ""), func(c *Config) { c.Methods = []string{"HEAD"} }, 1},
		{"nor without hedge", ask("GET", ""), func(c *Config) { c.Hedge = nil }, 1},
		{"nor where a breaker tries the upstream with it", called(ask("GET", "")), nil, 1},
		{"nor in shadow", ask("GET", ""), func(c *Config) { c.Mode = exchange.ModeShadow }, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := policy(hedge(100*ms, 1))
				if tt.change != nil {
					tt.change(&c)
				}
				u := &runs{t: t, script: []slow{{200 * ms, 200, nil}, {200 * ms, 200, nil}}}
				x := u.send(c, generous(), tt.request)
				if got := len(u.begun); got != tt.want {
					t.Errorf("%d attempts, want %d", got, tt.want)
				}
				x.resp.Body.Close()
			})
		})
	}
}

// called makes r one by which a breaker finds out whether the upstream is well.
func called(r *http.Request) *http.Request {
	rec := &exchange.Record{}
	rec.CallOnce()
	return with(r, rec)
}

func TestAProbeIsNotRepeated(t *testing.T) {
	send(t, policy(), called(ask("GET", "")), 503).want(t, "503", 1)
	send(t, policy(), called(ask("GET", "")), exchange.FailedConnect).want(t, "connect-failure", 1)
}

func TestShadowTellsOfTheHedge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := policy(hedge(100*ms, 1), func(c *Config) { c.Mode = exchange.ModeShadow })
		u := &runs{t: t, script: []slow{{101 * ms, 200, nil}, {99 * ms, 200, nil}}}
		x := u.send(c, generous(), ask("GET", ""))
		if diff := cmp.Diff([]string{"shadow hedged: attempt 2 after 100ms without an answer"}, x.notes()); diff != "" {
			t.Errorf("decisions (-want +got):\n%s", diff)
		}
		if got := u.send(c, generous(), ask("GET", "")).notes(); got != nil {
			t.Errorf("a quick answer has the notes %q, want none", got)
		}
	})
}

func TestHedgesDrawOnTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &runs{t: t, script: []slow{{200 * ms, 200, nil}}}
		x := u.send(policy(hedge(100*ms, 1)), NewBudget(BudgetConfig{Window: time.Second}), ask("GET", ""))
		if diff := cmp.Diff([]string{"broken budget_exhausted: no hedge"}, x.notes()); diff != "" {
			t.Errorf("decisions (-want +got):\n%s", diff)
		}
		u.wantIntact(t, x)
	})
}

// A breaker that opens refuses the hedge; that is no answer to the client, who
// may yet get one.
func TestARefusedHedgeIsNoAnswer(t *testing.T) {
	refusal := &exchange.Refusal{Kind: exchange.CircuitBreaker, Reason: exchange.BreakerOpen}
	tests := []struct {
		name  string
		first slow
		want  string
	}{
		{"the first attempt answers", slow{200 * ms, 200, nil}, "200"},
		{"its failure goes before the refusal", slow{200 * ms, 0, failed(exchange.FailedProtocol)}, "protocol"},
		{"so does an answer that is no good", slow{200 * ms, 503, nil}, "503"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u := &runs{t: t, script: []slow{tt.first, {0, 0, refusal}}}
				x := u.send(policy(hedge(100*ms, 1), func(c *Config) { c.MaxAttempts = 2 }), generous(), ask("GET", ""))
				if got := x.end(); got != tt.want || len(u.begun) != 2 {
					t.Errorf("ends with %s after %d attempts, want %s after 2", got, len(u.begun), tt.want)
				}
				u.wantIntact(t, x)
			})
		})
	}
}

func TestAllAttemptsEndWithTheRequest(t *testing.T) {
	tests := []struct {
		name string
		with error
		want string
	}{
		{"the client leaves", nil, context.Canceled.Error()},
		{"the time is up", &exchange.Failure{Kind: exchange.FailedTimeout}, context.Canceled.Error()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(150*ms, func() { cancel(tt.with) })
				u := &runs{t: t, script: []slow{{time.Hour, 200, nil}, {time.Hour, 200, nil}}}
				x := u.send(policy(hedge(100*ms, 1)), generous(), ask("GET", "").WithContext(ctx))
				if x.end() != tt.want || x.took != 150*ms || len(u.begun) != 2 {
					t.Errorf("ends with %s after %v and %d attempts, want %s after 150ms and 2", x.end(), x.took, len(u.begun), tt.want)
				}
			})
		})
	}
}

func TestAPanicInAHedgeIsTheRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &runs{t: t, script: []slow{{time.Hour, 200, nil}}}
		var calls atomic.Int32
		up := exchange.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
			if calls.Add(1) == 2 {
				panic("of the test")
			}
			return u.RoundTrip(r)
		})
		defer func() {
			if p, _ := recover().(string); !strings.Contains(p, "of the test") {
				t.Errorf("panics with %q, want the hedge's word", p)
			}
			if diff := cmp.Diff([]string{errLost.Error()}, u.ends); diff != "" {
				t.Errorf("the other attempt ends (-want +got):\n%s", diff)
			}
		}()
		_, _ = New("safe", policy(hedge(100*ms, 1)), generous(), nil, half).Wrap(up).RoundTrip(ask("GET", ""))
	})
}

func TestAPanicInTheFirstAttemptEndsTheHedge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &runs{t: t, script: []slow{{time.Hour, 200, nil}}}
		var calls atomic.Int32
		up := exchange.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
			if calls.Add(1) == 2 {
				return u.RoundTrip(r)
			}
			time.Sleep(200 * ms)
			panic("of the test")
		})
		defer func() {
			if recover() == nil {
				t.Error("does not panic")
			}
			u.wg.Wait()
			if diff := cmp.Diff([]string{errLost.Error()}, u.ends); diff != "" {
				t.Errorf("the hedge ends (-want +got):\n%s", diff)
			}
		}()
		_, _ = New("safe", policy(hedge(100*ms, 1)), generous(), nil, half).Wrap(up).RoundTrip(ask("GET", ""))
	})
}

func TestAPanicInTheFirstAttemptClosesTheAnswerOfTheHedge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &runs{t: t, script: []slow{{100 * ms, 200, nil}}}
		var calls atomic.Int32
		up := exchange.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
			if calls.Add(1) == 2 {
				return u.RoundTrip(r)
			}
			<-r.Context().Done() // the hedge has won
			panic("of the test")
		})
		defer func() {
			if recover() == nil {
				t.Error("does not panic")
			}
			u.wg.Wait()
			if u.open != 0 || u.ends[0] != "answered" {
				t.Errorf("the hedge %s, %d bodies are open, want it answered and none", u.ends[0], u.open)
			}
		}()
		_, _ = New("safe", policy(hedge(100*ms, 1)), generous(), nil, half).Wrap(up).RoundTrip(ask("GET", ""))
	})
}

// answering makes a response for each call.
var answering = exchange.RoundTripFunc(func(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader("answer"))}, nil
})

func BenchmarkHedge(b *testing.B) {
	learnt := NewTimes(95)
	for range enoughTimes {
		learnt.add(time.Second)
	}
	none, fixed, percentile := policy(), policy(hedge(time.Second, 1)), policy(hedge(0, 1))
	percentile.Hedge.After = HedgeAfter{Percentile: 95}
	for _, bb := range []struct {
		name string
		rt   http.RoundTripper
	}{
		{"nothing", answering},
		{"none", New("safe", none, generous(), nil, half).Wrap(answering)},
		{"fixed", New("safe", fixed, generous(), nil, half).Wrap(answering)},
		{"percentile", New("safe", percentile, generous(), learnt, half).Wrap(answering)},
	} {
		b.Run(bb.name, func(b *testing.B) {
			r := ask("GET", "")
			b.ReportAllocs()
			for b.Loop() {
				resp, _ := bb.rt.RoundTrip(r)
				resp.Body.Close()
			}
		})
		b.Run(bb.name+"-parallel", func(b *testing.B) {
			b.SetParallelism(2)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				r := ask("GET", "")
				for pb.Next() {
					resp, _ := bb.rt.RoundTrip(r)
					resp.Body.Close()
				}
			})
		})
	}
}
