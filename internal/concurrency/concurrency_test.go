package concurrency

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sidecar/internal/exchange"
)

// bench is a limit with an upstream behind it that answers when it is told to.
type bench struct {
	t     *testing.T
	state *State
	rt    http.RoundTripper

	mu   sync.Mutex
	held []chan any // calls at the upstream: each waits for a status, an error or nil for a panic
	log  []string   // how requests ended, in that order
	all  sync.WaitGroup
}

func config(change ...func(*Config)) Config {
	var c Config
	c.SetDefaults()
	c.Line, c.Max, c.Queue = 7, 1, Queue{Max: 2, MaxWait: 100 * time.Millisecond}
	for _, f := range change {
		f(&c)
	}
	return c
}

func shedFirst(names ...string) func(*Config) {
	return func(c *Config) { c.Priority = &Priority{Header: "X-Priority", ShedFirst: names} }
}

func newBench(t *testing.T, c Config) *bench {
	t.Helper()
	c.Validate(func(field, problem string) { t.Fatalf("config: %s %s", field, problem) })
	b := &bench{t: t, state: NewState("small@orders", c)}
	b.rt = New(c, b.state, func() float64 { return .5 }).Wrap(exchange.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
		exchange.From(r.Context()).NextAttempt()
		end := make(chan any)
		b.mu.Lock()
		b.held = append(b.held, end)
		b.mu.Unlock()
		switch end := (<-end).(type) {
		case int:
			return exchange.NewResponse(r, end, "", nil, nil), nil
		case *http.Response:
			return end, nil
		case error:
			return nil, end
		}
		panic(http.ErrAbortHandler)
	}))
	return b
}

// send sends a request that is called name, and lets it come to where it
// waits.
func (b *bench) send(name string, change ...func(*http.Request, *exchange.Record)) {
	rec := &exchange.Record{}
	r := httptest.NewRequest("GET", "/", nil)
	for _, f := range change {
		f(r, rec)
	}
	r = r.WithContext(exchange.With(r.Context(), rec))
	b.all.Go(func() {
		defer func() {
			if recover() != nil {
				b.say(name + " panic")
			}
		}()
		resp, err := b.rt.RoundTrip(r)
		said := name + " " + outcome(resp, err)
		if err == nil {
			resp.Body.Close()
		}
		for _, d := range rec.Decisions() {
			if d.Outcome == exchange.Act || d.Outcome == exchange.Shadow {
				said += fmt.Sprintf(" (%s %s %s)", d.Outcome, d.Reason, d.Detail)
			}
		}
		b.say(said)
	})
	synctest.Wait()
}

func (b *bench) say(line string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.log = append(b.log, line)
}

func outcome(resp *http.Response, err error) string {
	if refusal, ok := errors.AsType[*exchange.Refusal](err); ok {
		return string(refusal.Reason)
	}
	if failure, ok := errors.AsType[*exchange.Failure](err); ok {
		return string(failure.Kind)
	}
	if err != nil {
		return err.Error()
	}
	return strconv.Itoa(resp.StatusCode)
}

// answer ends the oldest call at the upstream, and lets what follows happen.
func (b *bench) answer(end any) {
	b.mu.Lock()
	first := b.held[0]
	b.held = b.held[1:]
	b.mu.Unlock()
	first <- end
	synctest.Wait()
}

// finish answers all there is.
func (b *bench) finish() {
	for {
		b.mu.Lock()
		n := len(b.held)
		b.mu.Unlock()
		if n == 0 {
			break
		}
		b.answer(200)
	}
	b.all.Wait()
}

func (b *bench) want(lines ...string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if !slices.Equal(b.log, lines) {
		b.t.Errorf("requests ended\n\t%s\nwant\n\t%s", strings.Join(b.log, "\n\t"), strings.Join(lines, "\n\t"))
	}
}

func (b *bench) wantLevels(inFlight, queued int) {
	b.t.Helper()
	if st := b.state.Status(); st.InFlight != inFlight || st.Queued != queued {
		b.t.Errorf("%d in flight, %d queued, want %d and %d", st.InFlight, st.Queued, inFlight, queued)
	}
}

func class(name string) func(*http.Request, *exchange.Record) {
	return func(r *http.Request, _ *exchange.Record) { r.Header.Set("X-Priority", name) }
}

func before(d time.Duration) func(*http.Request, *exchange.Record) {
	return func(_ *http.Request, rec *exchange.Record) { rec.Deadline = time.Now().Add(d) }
}

func TestAPlaceIsWaitedForInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, config())
		b.send("first")
		b.send("second")
		b.send("third")
		b.wantLevels(1, 2)
		b.send("fourth") // the queue is full
		time.Sleep(40 * time.Millisecond)
		b.answer(200)
		b.answer(200)
		b.answer(200)
		b.want("fourth overloaded", "first 200", "second 200 (act queued 40ms)", "third 200 (act queued 40ms)")
		b.wantLevels(0, 0)
		if got := b.state.Status().Shed[normalClass]; got != 1 {
			t.Errorf("shed %d, want 1", got)
		}
	})
}

func TestNobodyWaitsLongerThanMaxWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, config())
		b.send("first")
		b.send("second")
		time.Sleep(99 * time.Millisecond)
		b.want()
		time.Sleep(time.Millisecond)
		synctest.Wait()
		b.want("second queue_timeout")
		b.wantLevels(1, 0)
		b.finish()
	})
}

func TestWithoutAQueueNobodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, config(func(c *Config) { c.Queue.Max = 0 }))
		b.send("first")
		b.send("second")
		b.want("second overloaded")
		b.finish()
		b.send("third")
		b.finish()
		b.want("second overloaded", "first 200", "third 200")
	})
}

// There is no use in a place for who would get the answer too late.
func TestADeadlineBoundsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, config())
		for range 50 { // the upstream takes 30ms
			b.send("usual")
			time.Sleep(30 * time.Millisecond)
			b.answer(200)
		}
		b.log = nil
		b.send("first")
		b.send("hurried", before(80*time.Millisecond))
		b.send("too late", before(25*time.Millisecond))
		b.want("too late queue_timeout")
		time.Sleep(45 * time.Millisecond)
		b.want("too late queue_timeout")
		time.Sleep(10 * time.Millisecond) // less than its 30ms are left by now
		synctest.Wait()
		b.want("too late queue_timeout", "hurried queue_timeout")
		b.finish()
	})
}

func TestWhoLeavesTheQueueLeavesNothingBehind(t *testing.T) {
	tests := []struct {
		name  string
		cause error
		want  string
		shed  uint64 // but for who left by itself
	}{
		{"the client", nil, "client", 0},
		{"the client's body", &exchange.Refusal{Kind: exchange.ByClient, Reason: exchange.ClientTimeout}, "client_timeout", 0},
		{"the route, for want of an answer", &exchange.Failure{Kind: exchange.FailedTimeout, Err: errors.New("no response headers")}, "queue_timeout", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, config())
				ctx, cancel := context.WithCancelCause(t.Context())
				leaving := func(r *http.Request, rec *exchange.Record) { *r = *r.WithContext(ctx) }
				b.send("first")
				b.send("leaver", leaving)
				b.send("third")
				cancel(tt.cause)
				synctest.Wait()
				b.want("leaver " + tt.want)
				b.wantLevels(1, 1)
				b.finish()
				b.wantLevels(0, 0)
				if got := b.state.Status().Shed[normalClass]; got != tt.shed {
					t.Errorf("shed %d, want %d", got, tt.shed)
				}
			})
		})
	}
}

// Once the queue no longer empties, the last to come is the first to go.
func TestAStandingQueueServesTheNewest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, config(func(c *Config) { c.Queue.Max = 3 }))
		b.send("first")
		b.send("a")
		time.Sleep(60 * time.Millisecond)
		b.send("b")
		time.Sleep(60 * time.Millisecond) // a has given up; b has waited for 60ms
		b.send("c")
		b.send("d")
		b.answer(200)
		b.answer(200)
		b.want("a queue_timeout", "first 200", "d 200 (act queued 0s)")
		b.send("e")
		b.send("f")
		b.send("g") // the queue is full: who has waited longest makes room
		b.want("a queue_timeout", "first 200", "d 200 (act queued 0s)", "b overloaded")
		b.finish()
	})
}

func TestLowerClassesMakeRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, config(shedFirst("batch", "low")))
		b.send("first")
		b.send("batch", class("batch"))
		b.send("low", class("low"))
		b.send("more batch", class("batch"))
		b.want("more batch overloaded")
		b.send("low too", class("low"))
		b.want("more batch overloaded", "batch overloaded")
		b.send("normal")
		b.want("more batch overloaded", "batch overloaded", "low too overloaded")
		b.send("unknown", class("urgent")) // is normal
		b.send("one more")
		b.finish()
		b.want("more batch overloaded", "batch overloaded", "low too overloaded", "low overloaded", "one more overloaded",
			"first 200", "normal 200 (act queued 0s)", "unknown 200 (act queued 0s)")
		want := map[string]uint64{"normal": 1, "low": 2, "batch": 2}
		for name, n := range want {
			if got := b.state.Status().Shed[name]; got != n {
				t.Errorf("shed %d of class %s, want %d", got, name, n)
			}
		}
	})
}

func TestHigherClassesGoFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, config(shedFirst("batch", "low"), func(c *Config) { c.Queue.Max = 3 }))
		b.send("first")
		b.send("batch", class("batch"))
		b.send("low", class("low"))
		b.send("normal")
		b.finish()
		b.want("first 200", "normal 200 (act queued 0s)", "low 200 (act queued 0s)", "batch 200 (act queued 0s)")
	})
}

func TestTheClassOfARequest(t *testing.T) {
	header := &Priority{Header: "x-priority", ShedFirst: []string{"batch", "low"}}
	claim := &Priority{Claim: "tier", ShedFirst: []string{"free"}}
	tests := []struct {
		name     string
		priority *Priority
		header   string
		tier     any
		want     string
	}{
		{"without priorities all are normal", nil, "batch", "free", "normal"},
		{"the header names it", header, "batch", nil, "batch"},
		{"another one", header, "low", nil, "low"},
		{"unknown is normal", header, "vip", nil, "normal"},
		{"nothing is normal", header, "", nil, "normal"},
		{"the claim names it", claim, "", "free", "free"},
		{"a header is no claim", claim, "free", "paid", "normal"},
		{"nobody is normal", claim, "free", nil, "normal"},
		{"a list names nothing", claim, "", []any{"free"}, "normal"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, rec := httptest.NewRequest("GET", "/", nil), &exchange.Record{}
			r.Header.Set("X-Priority", tt.header)
			if tt.tier != nil {
				rec.Identify(&exchange.Principal{Claims: map[string]any{"tier": tt.tier}})
			}
			if got := classNames(tt.priority)[newClassifier(tt.priority).of(rec, r)]; got != tt.want {
				t.Errorf("class %s, want %s", got, tt.want)
			}
		})
	}
}

// stream is a body that ends when it is told to.
type stream struct {
	io.Reader
	closed bool
}

func (s *stream) Close() error { s.closed = true; return nil }

func TestHowLongAPlaceIsHeld(t *testing.T) {
	const toTheHeaders, toTheEnd = 0, 1
	tests := []struct {
		name   string
		status int
		header http.Header
		grpc   bool
		want   int // in flight while the body has not ended
	}{
		{"an answer, to the end of its body", 200, nil, false, toTheEnd},
		{"a failure too", 500, nil, false, toTheEnd},
		{"an event stream, to its headers", 200, http.Header{"Content-Type": {"Text/Event-Stream; charset=utf-8"}}, false, toTheHeaders},
		{"an upgraded connection, to its headers", 101, nil, false, toTheHeaders},
		{"a gRPC call, to its headers", 200, http.Header{"Content-Type": {"application/grpc"}}, true, toTheHeaders},
		{"what is only called so, to the end of its body", 200, http.Header{"Content-Type": {"application/pdf"}}, true, toTheEnd},
	}
	for _, tt := range tests {
		for _, ended := range []string{"read", "closed"} {
			t.Run(tt.name+", "+ended, func(t *testing.T) {
				body := &stream{Reader: strings.NewReader("all")}
				state := NewState("small@orders", config())
				rt := New(config(), state, func() float64 { return 0 }).Wrap(exchange.RoundTripFunc(func(*http.Request) (*http.Response, error) {
					return &http.Response{StatusCode: tt.status, Header: tt.header, Body: body}, nil
				}))
				r := httptest.NewRequest("GET", "/", nil)
				if tt.grpc {
					r.ProtoMajor = 2
					r.Header.Set("Content-Type", "application/grpc")
				}
				resp, err := rt.RoundTrip(r)
				if err != nil {
					t.Fatal(err)
				}
				if got := state.Status().InFlight; got != tt.want {
					t.Errorf("%d in flight before the body has ended, want %d", got, tt.want)
				}
				if ended == "read" {
					if got, err := io.ReadAll(resp.Body); err != nil || string(got) != "all" {
						t.Errorf("body %q, %v, want all", got, err)
					}
				} else {
					resp.Body.Close()
				}
				if got := state.Status().InFlight; got != 0 {
					t.Errorf("%d in flight afterwards, want none", got)
				}
				resp.Body.Close()
				if got := state.Status().InFlight; got != 0 || !body.closed {
					t.Errorf("%d in flight after a second end, closed %t, want none, true", got, body.closed)
				}
			})
		}
	}
}

func TestAPlaceIsGivenBackHoweverTheCallEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, config())
		for _, end := range []any{200, errors.New("odd"), nil} {
			b.send("call")
			b.answer(end)
			b.wantLevels(0, 0)
		}
		b.want("call 200", "call odd", "call panic")
	})
}

func TestARefusal(t *testing.T) {
	tests := []struct {
		name   string
		grpc   bool
		header http.Header
	}{
		{"HTTP is told when to come back", false, http.Header{"Retry-After": {"2"}}},
		{"gRPC is told in its own words", true, http.Header{"Grpc-Retry-Pushback-Ms": {"2000"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := config(func(c *Config) { c.Queue.Max = 0 })
			state := NewState("small@orders", c)
			state.force()
			r := httptest.NewRequest("POST", "/", nil)
			body := &stream{Reader: strings.NewReader("")}
			r.Body = body
			if tt.grpc {
				r.ProtoMajor = 2
				r.Header.Set("Content-Type", "application/grpc")
			}
			_, err := New(c, state, func() float64 { return .5 }).Wrap(nil).RoundTrip(r)
			refusal, ok := errors.AsType[*exchange.Refusal](err)
			if !ok {
				t.Fatalf("got %v, want a refusal", err)
			}
			if !body.closed {
				t.Error("the request's body is not closed")
			}
			got := fmt.Sprint(refusal.Kind, refusal.Policy, refusal.Reason, refusal.Line, refusal.Header, refusal.Note)
			want := fmt.Sprint("concurrency", "small@orders", exchange.Overloaded, 7, tt.header,
				"no place is free, and none to wait in; 1 of 1 in flight, 0 queued, class normal")
			if got != want {
				t.Errorf("refusal\n got %s\nwant %s", got, want)
			}
		})
	}
}

func TestRetryAfterIsOneToThreeSeconds(t *testing.T) {
	for random, want := range map[float64]string{0: "1", .24: "1", .5: "2", .999: "3"} {
		c := config()
		l := New(c, NewState("small@orders", c), func() float64 { return random })
		r := httptest.NewRequest("GET", "/", nil)
		if got := l.refusal(r, exchange.Overloaded, "", normal).Header.Get("Retry-After"); got != want {
			t.Errorf("Retry-After %s for a draw of %v, want %s", got, random, want)
		}
	}
}

func TestAShadowHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, config(func(c *Config) { c.Mode = exchange.ModeShadow }))
		b.send("first")
		b.send("second")
		b.wantLevels(2, 0)
		b.finish()
		b.want("first 200", "second 200 (shadow overloaded no place is free, and none to wait in; 2 of 1 in flight, 0 queued, class normal)")
		b.wantLevels(0, 0)
	})
}
