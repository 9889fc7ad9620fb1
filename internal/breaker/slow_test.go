package breaker

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sidecar/internal/exchange"
)

// after answers with status when d has passed.
func after(d time.Duration, status int) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		time.Sleep(d)
		return exchange.NewResponse(r, status, "", nil, nil), nil
	}
}

// slowly is a config that opens at half of four calls that take over a second,
// whatever else becomes of them.
func slowly(c *Config) {
	c.ConsecutiveFailures, c.FailurePercent = 0, 0
	c.Slow = &Slow{Over: time.Second, Percent: 50}
}

func TestSlowCallsOpenTheBreaker(t *testing.T) {
	const justInTime, late = time.Second, time.Second + time.Nanosecond
	tests := []struct {
		name   string
		change func(*Config)
		takes  []time.Duration
		want   string
	}{
		{"half of the window", slowly, []time.Duration{0, late, justInTime, late}, "open"},
		{"less than half", slowly, []time.Duration{0, late, justInTime, 0, late}, "closed"},
		{"too few to tell", slowly, []time.Duration{late, late, late}, "closed"},
		{"a slow call opens, never a quick one", slowly, []time.Duration{late, late, late, 0}, "closed"},
		{"not without slow", nil, []time.Duration{time.Minute, time.Minute, time.Minute, time.Minute, time.Minute}, "closed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var replies []any
				for _, d := range tt.takes {
					replies = append(replies, after(d, 200))
				}
				change := func(c *Config) { c.FailurePercent, c.ConsecutiveFailures = 1, 1 }
				if tt.change != nil {
					change = tt.change
				}
				b := newBench(t, config(change), replies...)
				for range tt.takes {
					b.want("200")
				}
				b.wantState(tt.want)
				if got := b.state.Status(); got.Failures != 0 || got.ConsecutiveFailures != 0 {
					t.Errorf("%d failures, %d in a row, want none: slow is not failed", got.Failures, got.ConsecutiveFailures)
				}
			})
		})
	}
}

func TestASlowFailureIsBoth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, config(slowly), after(2*time.Second, 504), 500, after(2*time.Second, 200), 200)
		b.want("504", "500", "200", "200")
		want := exchange.Tally{Requests: 4, Errors: 2, Slow: 2}
		if got := b.state.Status(); got.Slow != 2 || got.Total != want {
			t.Errorf("%d slow in the window, %+v in all, want 2 and %+v", got.Slow, got.Total, want)
		}
	})
}

func TestATripForSlowCallsTellsTheNumbers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, config(slowly), 500, after(2*time.Second, 200))
		b.want("500", "200", "200", "200", "breaker_open")
		b.wantTransitions("closed>open: 3 of 4 requests within 10s took longer than 1s (requests 4, failures 1, slow 3, in a row 0); open for 5s")
		got := b.state.Status().LastTrip
		if got == nil || got.Requests != 4 || got.Failures != 1 || got.Slow != 3 || !got.Time.Equal(time.Now()) {
			t.Errorf("last trip %+v, want its 4 requests, 1 failure, 3 slow, now", got)
		}
	})
}

// dripping is a client's body of which each part takes a while.
type dripping struct {
	io.Reader
	every time.Duration
}

func (d dripping) Read(p []byte) (int, error) {
	time.Sleep(d.every)
	return d.Reader.Read(p[:1])
}

func (dripping) Close() error { return nil }

func TestTheClientsTimeIsNotTheUpstreams(t *testing.T) {
	tests := []struct {
		name       string
		drip, call time.Duration
		early      bool // the upstream answers while the body is read
		want       int  // slow calls
	}{
		{"a slow upload", time.Second, time.Second / 2, false, 0},
		{"a slow upload that is answered early", time.Minute, 2 * time.Second, true, 0},
		{"a slow upload to a slow upstream", time.Second, 2 * time.Second, false, 1},
		{"a quick upload to a slow upstream", 0, 2 * time.Second, false, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, config(slowly), func(r *http.Request) (*http.Response, error) {
					if tt.early {
						go func() { _, _ = r.Body.Read(make([]byte, 1)) }()
					} else if _, err := io.Copy(io.Discard, r.Body); err != nil {
						t.Error(err)
					}
					return after(tt.call, 200)(r)
				})
				r := request(t.Context())
				r.Body = dripping{strings.NewReader("three"), tt.drip}
				if got := outcome(b.rt.RoundTrip(r)); got != "200" {
					t.Fatalf("got %s", got)
				}
				if got := b.state.Status().Slow; got != tt.want {
					t.Errorf("%d slow calls, want %d", got, tt.want)
				}
				time.Sleep(time.Minute) // until nobody reads any more
			})
		})
	}
}

func TestSlowProbesOpenTheBreakerAgain(t *testing.T) {
	tests := []struct {
		name  string
		slow  int // of three
		state string
		told  string
	}{
		{"one of three", 1, "closed", "half-open>closed: 3 probes succeeded"},
		{"two of three", 2, "open", "half-open>open: 2 of 3 probes took longer than 1s (requests 3, failures 0, slow 2, in a row 0); open for 10s"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				replies := repeat[any](4, after(2*time.Second, 200))
				for i := range 3 {
					if i < tt.slow {
						replies = append(replies, after(2*time.Second, 200))
					} else {
						replies = append(replies, 200)
					}
				}
				b := newBench(t, config(slowly), replies...)
				b.want("200", "200", "200", "200", "breaker_open")
				time.Sleep(5 * time.Second)
				b.want("200", "200", "200")
				b.wantState(tt.state)
				if last := b.events[len(b.events)-1]; last.From+">"+last.To+": "+last.Detail != tt.told {
					t.Errorf("told %s>%s: %s, want %s", last.From, last.To, last.Detail, tt.told)
				}
			})
		})
	}
}
