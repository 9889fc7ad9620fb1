package faults

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sidecar/internal/exchange"
)

func TestAnAbortAnswersInTheUpstreamsPlace(t *testing.T) {
	grpcAbort := func(c *Config) { c.Abort.GRPC = "UNAVAILABLE" }
	tests := []struct {
		name    string
		abort   func(*Config)
		grpc    bool
		status  int
		body    string // a part of it
		grpcIs  string
		reaches bool // the upstream
	}{
		{name: "with a status", abort: aborts(503), status: 503, body: `"policy":"fault/chaos"`},
		{name: "with a status of success", abort: aborts(200), status: 200, body: `"reason":"fault_injected"`},
		{name: "with a status that has no body", abort: aborts(204), status: 204},
		{name: "with a plain status to a gRPC call", abort: aborts(503), grpc: true, status: 503, body: "a fault answers"},
		{name: "with a gRPC status to a gRPC call", abort: grpcAbort, grpc: true, status: 200, grpcIs: "14"},
		{name: "but not with a gRPC status to other calls", abort: grpcAbort, status: 200, body: "real", reaches: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			up, a := &upstream{}, call("id", 1)
			if tt.grpc {
				a = a.grpc()
			}
			resp, body := a.send(t, on(t, policy("chaos", tt.abort)), up)
			if resp.StatusCode != tt.status || !strings.Contains(body, tt.body) || tt.body == "" && body != "" {
				t.Errorf("answer = %d %q, want %d with %q", resp.StatusCode, body, tt.status, tt.body)
			}
			if got := resp.Header.Get("Grpc-Status"); got != tt.grpcIs {
				t.Errorf("Grpc-Status = %q, want %q", got, tt.grpcIs)
			}
			if got := up.calls > 0; got != tt.reaches {
				t.Errorf("upstream called = %v, want %v", got, tt.reaches)
			}
			wantName := "chaos"
			if tt.reaches {
				wantName = ""
			}
			if got := resp.Header.Get(Header); got != wantName {
				t.Errorf("%s = %q, want %q", Header, got, wantName)
			}
			if a.attempt.Fault != wantName {
				t.Errorf("Attempt.Fault = %q, want %q", a.attempt.Fault, wantName)
			}
			if a.body.closed == tt.reaches {
				t.Errorf("request body closed = %v, want %v", a.body.closed, !tt.reaches)
			}
		})
	}
}

func TestAnEmptyAnswerTellsNoLength(t *testing.T) {
	for _, status := range []int{204, 205, 304} {
		resp, _ := call("id", 1).send(t, on(t, policy("chaos", aborts(status))), &upstream{})
		if got := resp.Header.Get("Content-Length"); got != "" {
			t.Errorf("Content-Length of a %d = %q, want none", status, got)
		}
	}
}

func TestAResetIsAFailureLikeAnyOther(t *testing.T) {
	up, a := &upstream{}, call("id", 1)
	_, kind := a.send(t, on(t, policy("cut", func(c *Config) { c.Abort.Connection = "reset" })), up)
	if kind != string(exchange.FailedReset) {
		t.Errorf("kind = %q, want %q", kind, exchange.FailedReset)
	}
	if up.calls != 0 || !a.body.closed {
		t.Errorf("upstream called %d times, body closed %v; want 0 and true", up.calls, a.body.closed)
	}
	if got, want := a.reasons(), "cut fault_abort connection reset"; got != want {
		t.Errorf("noted %q, want %q", got, want)
	}
}

func TestDelaysAddUpAndTheFirstAbortWins(t *testing.T) {
	tests := []struct {
		name   string
		faults []Named
		took   time.Duration
		status int
		header string
		fault  string
		noted  string
	}{{
		name:   "two delays",
		faults: []Named{policy("slow", delays(time.Second)), policy("slower", delays(2*time.Second))},
		took:   3 * time.Second, status: 200, header: "slow, slower", fault: "slow",
		noted: "slow fault_delay 1s, slower fault_delay 2s",
	}, {
		name:   "a delay before an abort is waited for",
		faults: []Named{policy("slow", delays(time.Second)), policy("broken", aborts(500))},
		took:   time.Second, status: 500, header: "slow, broken", fault: "broken",
		noted: "slow fault_delay 1s, broken fault_abort 500",
	}, {
		name: "the delay of the aborting fault is waited for",
		faults: []Named{policy("both", func(c *Config) {
			c.Delay.Fixed, c.Abort.Status = time.Second, 502
		})},
		took: time.Second, status: 502, header: "both", fault: "both",
		noted: "both fault_delay 1s, both fault_abort 502",
	}, {
		name:   "what follows an abort is not reached",
		faults: []Named{policy("broken", aborts(500)), policy("slow", delays(time.Second)), policy("other", aborts(404))},
		took:   0, status: 500, header: "broken", fault: "broken",
		noted: "broken fault_abort 500",
	}}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, start := call("id", 1), time.Now()
				resp, _ := a.send(t, on(t, tt.faults...), &upstream{})
				if got := time.Since(start); got != tt.took {
					t.Errorf("took %v, want %v", got, tt.took)
				}
				if resp.StatusCode != tt.status {
					t.Errorf("status = %d, want %d", resp.StatusCode, tt.status)
				}
				if got := strings.Join(resp.Header[Header], ", "); got != tt.header {
					t.Errorf("%s = %q, want %q", Header, got, tt.header)
				}
				if a.attempt.Fault != tt.fault {
					t.Errorf("Attempt.Fault = %q, want %q", a.attempt.Fault, tt.fault)
				}
				if got := a.reasons(); got != tt.noted {
					t.Errorf("noted %q, want %q", got, tt.noted)
				}
			})
		})
	}
}

func TestADelayEndsWithItsCall(t *testing.T) {
	refusal := &exchange.Refusal{Kind: exchange.ByProxy, Reason: exchange.UpstreamTimeout}
	tests := []struct {
		name string
		end  error // the context's cause
		want exchange.FailureKind
	}{
		{"the client left", context.Canceled, exchange.FailedClient},
		{"the deadline passed", context.DeadlineExceeded, exchange.FailedTimeout},
		{"the cause is a failure", &exchange.Failure{Kind: exchange.FailedProtocol, Err: errors.New("x")}, exchange.FailedProtocol},
		{"anything else is a timeout", errors.New("enough"), exchange.FailedTimeout},
		{"the cause is a refusal", refusal, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				up, start := &upstream{}, time.Now()
				a := call("id", 1).under(func(ctx context.Context) context.Context {
					ctx, cancel := context.WithCancelCause(ctx)
					time.AfterFunc(time.Second, func() { cancel(tt.end) })
					return ctx
				})
				_, err := on(t, policy("slow", delays(time.Minute))).Wrap(up).RoundTrip(a.Request)
				var failure *exchange.Failure
				switch {
				case tt.want == "":
					if err != refusal {
						t.Errorf("error = %v, want the refusal itself", err)
					}
				case !errors.As(err, &failure) || failure.Kind != tt.want:
					t.Errorf("error = %v, want a Failure of kind %q", err, tt.want)
				}
				if got := time.Since(start); got != time.Second {
					t.Errorf("took %v, want 1s", got)
				}
				if up.calls != 0 || !a.body.closed {
					t.Errorf("upstream called %d times, body closed %v; want 0 and true", up.calls, a.body.closed)
				}
			})
		})
	}
}

func TestJitterSpreadsTheDelay(t *testing.T) {
	delay := Delay{Fixed: 300 * time.Millisecond, Jitter: 400 * time.Millisecond}
	least, most, sum := time.Hour, time.Duration(0), time.Duration(0)
	const n = 10_000
	for i := range n {
		var d draws
		d.start(0, "slow", call(fmt.Sprint(i), 1).Request)
		got := d.delay(delay)
		least, most, sum = min(least, got), max(most, got), sum+got
	}
	if least != 0 {
		t.Errorf("least = %v, want 0: a delay is never negative", least)
	}
	if most > 700*time.Millisecond || most < 690*time.Millisecond {
		t.Errorf("most = %v, want just below 700ms", most)
	}
	// E[max(0, U(-100, 700))] = 700²/(2·800) = 306ms
	if mean := sum / n; mean < 300*time.Millisecond || mean > 312*time.Millisecond {
		t.Errorf("mean = %v, want about 306ms", mean)
	}
}

func TestWhenNarrowsTheRequests(t *testing.T) {
	tests := []struct {
		name string
		when When
		hit  bool
	}{
		{"nothing said is all", When{}, true},
		{"the method", When{Methods: []string{"GET", "POST"}}, true},
		{"another method", When{Methods: []string{"GET"}}, false},
		{"the field, in any case", When{Headers: map[string]string{"x-CHAOS": "1"}}, true},
		{"another value", When{Headers: map[string]string{"X-Chaos": "2"}}, false},
		{"any value", When{Headers: map[string]string{"X-Chaos": "*"}}, true},
		{"any value of an absent field", When{Headers: map[string]string{"X-Other": "*"}}, false},
		{"the host", When{Headers: map[string]string{"host": "example.com"}}, true},
		{"the path", When{Paths: []string{"/other", "/v1/*/items"}}, true},
		{"another path", When{Paths: []string{"/v1/*"}}, false},
		{"who it is", When{Principals: []string{"bob", "job:*"}}, true},
		{"who it is not", When{Principals: []string{"bob"}}, false},
		{"all must hold", When{Methods: []string{"POST"}, Headers: map[string]string{"X-Chaos": "1", "X-Other": "*"}}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := call("id", 1)
			a.Header["X-Chaos"] = []string{"0", "1"}
			a.record.Path = "/v1/orders/items"
			a.record.Identify(&exchange.Principal{Subject: "job:night"})
			f := policy("chaos", func(c *Config) { c.Abort.Status, c.When = 503, tt.when })
			resp, _ := a.send(t, on(t, f), &upstream{})
			if got := resp.StatusCode == 503; got != tt.hit {
				t.Errorf("broken = %v, want %v", got, tt.hit)
			}
		})
	}
}

// broken returns which of n request ids a fault breaks at their attempt number.
func broken(t *testing.T, f Named, number, n int) []bool {
	t.Helper()
	rt := on(t, f).Wrap(&upstream{})
	hits := make([]bool, n)
	for i := range hits {
		resp, err := rt.RoundTrip(call(fmt.Sprintf("req-%d", i), number).Request)
		if err != nil {
			t.Fatal(err)
		}
		hits[i] = resp.StatusCode == 503
	}
	return hits
}

func share(hits []bool) float64 {
	n := 0
	for _, hit := range hits {
		if hit {
			n++
		}
	}
	return float64(n) / float64(len(hits))
}

func both(a, b []bool) []bool {
	c := make([]bool, len(a))
	for i := range c {
		c[i] = a[i] && b[i]
	}
	return c
}

func TestTheShareIsThePercent(t *testing.T) {
	const n = 10_000
	for _, percent := range []float64{0, 0.5, 10, 50, 99.5, 100} {
		p := percent / 100
		got := share(broken(t, policy("chaos", func(c *Config) { c.Percent, c.Abort.Status = percent, 503 }), 1, n))
		// Four standard deviations: the draw is fixed, so this never flakes.
		if slack := 4 * math.Sqrt(p*(1-p)/n); math.Abs(got-p) > slack {
			t.Errorf("share at %v%% = %v, want %v +- %v", percent, got, p, slack)
		}
	}
}

func TestDrawsAreTheSameOnEveryRun(t *testing.T) {
	half := policy("chaos", func(c *Config) { c.Percent, c.Abort.Status = 50, 503 })
	var word strings.Builder
	for _, hit := range broken(t, half, 1, 24) {
		word.WriteByte(map[bool]byte{false: '.', true: 'x'}[hit])
	}
	const want = ".x.x..x.....x...xx......"
	if got := word.String(); got != want {
		t.Errorf("broken = %q, want %q: whoever relies on a seed would see other requests fail", got, want)
	}
}

func TestDrawsAreIndependent(t *testing.T) {
	const n = 10_000
	plan := func(name string, seed int64) Named {
		return policy(name, func(c *Config) { c.Percent, c.Abort.Status, c.Seed = 30, 503, seed })
	}
	first := broken(t, plan("chaos", 0), 1, n)
	others := map[string][]bool{
		"the next attempt": broken(t, plan("chaos", 0), 2, n),
		"another fault":    broken(t, plan("chaot", 0), 1, n),
		"another seed":     broken(t, plan("chaos", 1), 1, n),
	}
	for name, other := range others {
		got, want := share(both(first, other)), 0.3*0.3
		if slack := 4 * math.Sqrt(want*(1-want)/n); math.Abs(got-want) > slack {
			t.Errorf("broken by both the first and %s: %v, want %v +- %v", name, got, want, slack)
		}
	}
}

func TestWhatIsNotDrawnLeavesNoTrace(t *testing.T) {
	never := policy("never", func(c *Config) { c.Percent, c.Abort.Status = 0, 503 })
	other := policy("other", func(c *Config) {
		c.Abort.Status, c.When.Headers = 503, map[string]string{"x-chaos": "1"}
	})
	grpc := policy("grpc", func(c *Config) { c.Abort.GRPC = "INTERNAL" })
	s := NewSwitch(nil)
	s.Sync([]Named{never, other, grpc})
	tests := map[string]*Faults{
		"off":       New(s, []Named{never, other, grpc}),
		"not drawn": on(t, never, other, grpc),
	}
	answer := &http.Response{}
	next := exchange.RoundTripFunc(func(*http.Request) (*http.Response, error) { return answer, nil })
	for name, f := range tests {
		rt, a := f.Wrap(next), call("id", 1)
		if got := testing.AllocsPerRun(100, func() {
			if resp, _ := rt.RoundTrip(a.Request); resp != answer {
				t.Fatal("not the upstream's response")
			}
		}); got != 0 {
			t.Errorf("%s: %v allocations, want 0", name, got)
		}
		if got := a.reasons(); got != "" || a.attempt.Fault != "" {
			t.Errorf("%s: noted %q, Attempt.Fault = %q, want nothing", name, got, a.attempt.Fault)
		}
	}
}

func BenchmarkWrap(b *testing.B) {
	half := policy("chaos", func(c *Config) { c.Percent, c.Abort.Status = 0.001, 503 })
	s := NewSwitch(nil)
	s.Sync([]Named{half})
	next := exchange.RoundTripFunc(func(*http.Request) (*http.Response, error) { return nil, nil })
	a := call("0194a3d2-7c1e-7d0a-9a33-0d8a8f5a2d11", 1)
	run := func(b *testing.B) {
		rt := New(s, []Named{half}).Wrap(next)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := rt.RoundTrip(a.Request); err != nil {
				b.Fatal(err)
			}
		}
	}
	parallel := func(b *testing.B) {
		rt := New(s, []Named{half}).Wrap(next)
		b.ReportAllocs()
		b.SetParallelism(2)
		b.RunParallel(func(p *testing.PB) {
			for p.Next() {
				_, _ = rt.RoundTrip(a.Request)
			}
		})
	}
	b.Run("off", run)
	b.Run("off/parallel", parallel)
	if _, err := s.On("chaos", Toggle{}, by("ann")); err != nil {
		b.Fatal(err)
	}
	b.Run("on", run)
	b.Run("on/parallel", parallel)
}
