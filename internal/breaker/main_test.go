package breaker

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sidecar/internal/exchange"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is a breaker with a script of replies behind it. A number is a
// status, a kind of Failure is that failure.
type bench struct {
	t       *testing.T
	state   *State
	breaker *Breaker
	rt      http.RoundTripper // Admit(Count(replies))

	objection error // of who is told

	mu     sync.Mutex
	events []exchange.Event
}

// ann is who forces.
var ann = exchange.Who{Name: "ann"}

// config is one in which every number can be told apart, without jitter.
func config(change ...func(*Config)) Config {
	var c Config
	c.SetDefaults()
	c.Line = 7
	c.MinRequests, c.FailurePercent, c.ConsecutiveFailures = 4, 50, 3
	c.OpenFor = OpenFor{Base: 5 * time.Second, Max: 15 * time.Second}
	c.HalfOpen = HalfOpen{MaxProbes: 2, Successes: 3}
	for _, f := range change {
		f(&c)
	}
	return c
}

func newBench(t *testing.T, c Config, replies ...any) *bench {
	t.Helper()
	b := &bench{t: t}
	b.state = NewState("standard@orders", c, func() float64 { return 0.5 }, func(e exchange.Event) error {
		b.state.Status() // no lock is held that it takes
		b.mu.Lock()
		defer b.mu.Unlock()
		b.events = append(b.events, e)
		return b.objection
	})
	b.breaker = New(c, b.state, nil)
	b.rt = b.breaker.Admit(b.breaker.Count(script(replies...)))
	return b
}

// script answers with each reply in turn, the last one for ever.
func script(replies ...any) http.RoundTripper {
	var mu sync.Mutex
	return exchange.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
		mu.Lock()
		reply := replies[0]
		if len(replies) > 1 {
			replies = replies[1:]
		}
		mu.Unlock()
		switch reply := reply.(type) {
		case int:
			return exchange.NewResponse(r, reply, "", nil, nil), nil
		case exchange.FailureKind:
			return nil, &exchange.Failure{Kind: reply, Err: errors.New("scripted")}
		case error:
			return nil, reply
		case func(*http.Request) (*http.Response, error):
			return reply(r)
		}
		panic("script: unknown reply")
	})
}

func request(ctx context.Context) *http.Request {
	return httptest.NewRequest("GET", "/", nil).WithContext(ctx)
}

// call makes a call and says how it ended: a status, a reason or an error.
func (b *bench) call() string { return outcome(b.rt.RoundTrip(request(b.t.Context()))) }

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
	defer resp.Body.Close()
	return strconv.Itoa(resp.StatusCode)
}

// want makes as many calls as there are words, and compares.
func (b *bench) want(words ...string) {
	b.t.Helper()
	for i, want := range words {
		if got := b.call(); got != want {
			b.t.Fatalf("call %d: got %s, want %s", i+1, got, want)
		}
	}
}

func (b *bench) wantState(want string) {
	b.t.Helper()
	if got := b.state.Status().State; got != want {
		b.t.Errorf("state is %s, want %s", got, want)
	}
}

// transitions returns what was told, "closed>open: detail" each.
func (b *bench) transitions() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var lines []string
	for _, e := range b.events {
		who := ""
		if !e.Who.IsZero() {
			who = " by " + e.Who.String()
		}
		lines = append(lines, e.From+">"+e.To+who+": "+e.Detail)
	}
	return strings.Join(lines, "\n")
}

func (b *bench) wantTransitions(want ...string) {
	b.t.Helper()
	if got, want := b.transitions(), strings.Join(want, "\n"); got != want {
		b.t.Errorf("transitions:\n%s\nwant:\n%s", got, want)
	}
}

// repeat returns word n times.
func repeat[T any](n int, word T) []T {
	words := make([]T, n)
	for i := range words {
		words[i] = word
	}
	return words
}

// held is a call that lasts until it is told how to end.
type held struct {
	end  chan any // a status, an error, or nil for a panic
	done chan string
}

// hold begins a call and returns when it has reached the upstream, or ended.
func (b *bench) hold() *held {
	h := &held{end: make(chan any), done: make(chan string, 1)}
	up := b.breaker.Admit(b.breaker.Count(exchange.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
		switch end := (<-h.end).(type) {
		case int:
			return exchange.NewResponse(r, end, "", nil, nil), nil
		case error:
			return nil, end
		}
		panic(http.ErrAbortHandler)
	})))
	go func() {
		defer func() {
			if p := recover(); p != nil {
				h.done <- "panic"
			}
		}()
		h.done <- outcome(up.RoundTrip(request(b.t.Context())))
	}()
	return h
}

// finish ends the call.
func (h *held) finish(end any) string {
	h.end <- end
	return <-h.done
}

// closes counts how often a body is closed.
type closes int

func (c *closes) Read([]byte) (int, error) { return 0, io.EOF }
func (c *closes) Close() error             { *c++; return nil }
