package breaker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sidecar/internal/exchange"
)

func TestWhatCounts(t *testing.T) {
	grpc := func(code string) func(*http.Request) (*http.Response, error) {
		return func(r *http.Request) (*http.Response, error) {
			h := http.Header{"Content-Type": {"application/grpc"}, "Grpc-Status": {code}}
			return exchange.NewResponse(r, 200, "", nil, h), nil
		}
	}
	const success, failure, nothing = "success", "failure", "nothing"
	tests := []struct {
		name  string
		reply any
		want  string
	}{
		{"200", 200, success},
		{"404", 404, success},
		{"429", 429, success},
		{"500", 500, failure},
		{"connect failure", exchange.FailedConnect, failure},
		{"reset", exchange.FailedReset, failure},
		{"timeout", exchange.FailedTimeout, failure},
		{"wrapped timeout", fmt.Errorf("attempt: %w", &exchange.Failure{Kind: exchange.FailedTimeout}), failure},
		{"failure that failureOn does not name", exchange.FailedProtocol, nothing},
		{"the client's failure", exchange.FailedClient, nothing},
		{"refusal from inside", &exchange.Refusal{Kind: exchange.Fault, Reason: exchange.FaultInjected}, nothing},
		{"error that nobody knows", errors.New("odd"), nothing},
		{"gRPC unavailable, trailers-only", grpc("14"), failure},
		{"gRPC not found, trailers-only", grpc("5"), success},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, config(), tt.reply)
			b.call()
			if got := counted(b); got != tt.want {
				t.Errorf("counted as %s, want %s", got, tt.want)
			}
		})
	}
}

func counted(b *bench) string {
	switch s := b.state.Status(); {
	case s.Requests == 0:
		return "nothing"
	case s.Failures == 0:
		return "success"
	}
	return "failure"
}

func TestWhoEndedTheCall(t *testing.T) {
	tests := []struct {
		name  string
		cause error
		want  string
	}{
		{"the client left", nil, "nothing"},
		{"the client, in our words", &exchange.Refusal{Kind: exchange.ByClient, Reason: exchange.ClientTimeout}, "nothing"},
		{"perTryTimeout", &exchange.Failure{Kind: exchange.FailedTimeout}, "failure"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			// However the transport words a cancelled call.
			for _, err := range []error{
				context.Canceled,
				&exchange.Failure{Kind: exchange.FailedClient, Err: context.Canceled},
				&exchange.Failure{Kind: exchange.FailedReset, Err: context.Canceled},
			} {
				ctx, cancel := context.WithCancelCause(t.Context())
				b := newBench(t, config(), func(*http.Request) (*http.Response, error) {
					cancel(tt.cause)
					return nil, err
				})
				_, _ = b.rt.RoundTrip(request(ctx))
				if got := counted(b); got != tt.want {
					t.Errorf("%v counted as %s, want %s", err, got, tt.want)
				}
			}
		})
	}
}

func TestClientsFaultNeverCounts(t *testing.T) {
	rec := &exchange.Record{}
	b := newBench(t, config(), func(r *http.Request) (*http.Response, error) {
		exchange.From(r.Context()).BlameClient(&exchange.Refusal{Kind: exchange.ByClient, Reason: exchange.ClientBody})
		return exchange.NewResponse(r, 500, "", nil, nil), nil
	})
	_, _ = b.rt.RoundTrip(request(exchange.With(t.Context(), rec)))
	if got := counted(b); got != "nothing" {
		t.Errorf("counted as %s, want nothing", got)
	}
}

func TestRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, config(), 500)
		b.want("500", "500", "500")
		wantRefusal := func(rt http.RoundTripper, reason exchange.Reason, retryAfter string) {
			t.Helper()
			var body closes
			r := request(t.Context())
			r.Body = &body
			_, err := rt.RoundTrip(r)
			want := &exchange.Refusal{
				Kind: exchange.CircuitBreaker, Policy: "standard@orders", Reason: reason, Line: 7,
				Header: http.Header{"Retry-After": {retryAfter}},
			}
			if diff := cmp.Diff(error(want), err); diff != "" {
				t.Errorf("refusal (-want +got):\n%s", diff)
			}
			if body != 1 {
				t.Errorf("body closed %d times, want 1", body)
			}
		}
		inner := b.breaker.Count(script(200))
		wantRefusal(b.rt, exchange.BreakerOpen, "5")
		wantRefusal(inner, exchange.BreakerOpen, "5")
		time.Sleep(time.Millisecond)
		wantRefusal(b.rt, exchange.BreakerOpen, "5")
		time.Sleep(4*time.Second + 900*time.Millisecond)
		wantRefusal(b.rt, exchange.BreakerOpen, "1")
		time.Sleep(time.Second)
		probes := []*held{b.hold(), b.hold()}
		synctest.Wait()
		wantRefusal(b.rt, exchange.BreakerProbeFull, "1")
		wantRefusal(inner, exchange.BreakerProbeFull, "1")
		for _, p := range probes {
			p.finish(200)
		}
	})
}

func TestEachAttemptAsksAndCounts(t *testing.T) {
	b := newBench(t, config())
	count := b.breaker.Count(script(500))
	var ends []string
	rt := b.breaker.Admit(exchange.RoundTripFunc(func(r *http.Request) (resp *http.Response, err error) {
		for range 4 { // a retry that never gives up
			resp, err = count.RoundTrip(r)
			ends = append(ends, outcome(resp, err))
		}
		return resp, err
	}))
	_, err := rt.RoundTrip(request(t.Context()))
	if diff := cmp.Diff([]string{"500", "500", "500", "breaker_open"}, ends); diff != "" {
		t.Errorf("attempts (-want +got):\n%s", diff)
	}
	if _, ok := errors.AsType[*exchange.Refusal](err); !ok {
		t.Errorf("the call ends with %v, want the refusal", err)
	}
}

func TestFallback(t *testing.T) {
	fallback := func(status int) Config {
		return config(func(c *Config) {
			c.Fallback = &Fallback{Line: 9, Status: status, ContentType: "application/json", Body: `{"degraded":true}`}
		})
	}
	open := func(b *bench) {
		if err := b.state.Force("open", ann); err != nil {
			t.Fatal(err)
		}
	}
	own := &exchange.Refusal{Kind: exchange.CircuitBreaker, Policy: "standard@orders", Reason: exchange.BreakerProbeFull}
	other := &exchange.Refusal{Kind: exchange.CircuitBreaker, Policy: "other@orders", Reason: exchange.BreakerOpen}
	tests := []struct {
		name  string
		bench *bench
		open  bool
		grpc  bool
		want  string
	}{
		{"in place of the breaker's refusal", newBench(t, fallback(200), 200), true, false, "200"},
		{"in place of one made by Count", newBench(t, fallback(203), own), false, false, "203"},
		{"not for another breaker's refusal", newBench(t, fallback(203), other), false, false, "breaker_open"},
		{"not for an upstream's 503", newBench(t, fallback(203), 503), false, false, "503"},
		{"not for a failure", newBench(t, fallback(203), exchange.FailedConnect), false, false, "connect-failure"},
		{"not for gRPC", newBench(t, fallback(200), 200), true, true, "breaker_open"},
		{"none", newBench(t, config(), 200), true, false, "breaker_open"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.open {
				open(tt.bench)
			}
			r := request(t.Context())
			if tt.grpc {
				r.ProtoMajor = 2
				r.Header.Set("Content-Type", "application/grpc")
			}
			if got := outcome(tt.bench.rt.RoundTrip(r)); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestFallbackResponse(t *testing.T) {
	for status, retryAfter := range map[int]string{200: "", 503: "5"} {
		c := config(func(c *Config) { c.Fallback = &Fallback{Status: status, ContentType: "text/plain", Body: "later"} })
		b := newBench(t, c, 200)
		if err := b.state.Force("open", ann); err != nil {
			t.Fatal(err)
		}
		resp, err := b.rt.RoundTrip(request(t.Context()))
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		if !bytes.Equal(body, []byte("later")) || resp.Header.Get("Content-Type") != "text/plain" {
			t.Errorf("got %q as %s", body, resp.Header.Get("Content-Type"))
		}
		if got := resp.Header.Get("Retry-After"); got != retryAfter {
			t.Errorf("%d with Retry-After %q, want %q", status, got, retryAfter)
		}
	}
}

func TestDecisions(t *testing.T) {
	withFallback := config(func(c *Config) { c.Fallback = &Fallback{Line: 9, Status: 200} })
	note := func(o exchange.Outcome, reason exchange.Reason, detail string, line int) exchange.Decision {
		return exchange.Decision{
			Kind: exchange.CircuitBreaker, Policy: "standard@orders", Outcome: o, Reason: reason, Detail: detail, Line: line,
		}
	}
	tests := []struct {
		name   string
		config Config
		force  string
		want   []exchange.Decision
	}{
		{"let by", config(), "auto", []exchange.Decision{note(exchange.Pass, "", "", 7)}},
		{"refused: the proxy's to note", config(), "open", nil},
		{"fallback", withFallback, "open", []exchange.Decision{note(exchange.Act, exchange.FallbackServed, "breaker_open", 9)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, tt.config, 200)
			if err := b.state.Force(tt.force, ann); err != nil {
				t.Fatal(err)
			}
			rec := &exchange.Record{}
			_, _ = b.rt.RoundTrip(request(exchange.With(t.Context(), rec)))
			if diff := cmp.Diff(tt.want, rec.Decisions()); diff != "" {
				t.Errorf("decisions (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPassIsNotedOnceForAllAttempts(t *testing.T) {
	b := newBench(t, config())
	count := b.breaker.Count(script(200))
	rec := &exchange.Record{}
	rt := b.breaker.Admit(exchange.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
		_, _ = count.RoundTrip(r)
		return count.RoundTrip(r)
	}))
	_, _ = rt.RoundTrip(request(exchange.With(t.Context(), rec)))
	if got := len(rec.Decisions()); got != 1 {
		t.Errorf("%d decisions, want 1", got)
	}
}

func TestLineIsThatOfTheSnapshot(t *testing.T) {
	b := newBench(t, config(), 200)
	if err := b.state.Force("open", ann); err != nil {
		t.Fatal(err)
	}
	moved := config(func(c *Config) { c.Line = 70 })
	_, err := New(moved, b.state, nil).Admit(b.rt).RoundTrip(request(t.Context()))
	if refusal, ok := errors.AsType[*exchange.Refusal](err); !ok || refusal.Line != 70 {
		t.Errorf("got %+v, want a refusal of line 70", err)
	}
}

// fixed answers without allocating.
func fixed(resp *http.Response) http.RoundTripper {
	return exchange.RoundTripFunc(func(*http.Request) (*http.Response, error) { return resp, nil })
}

func TestACountedCallAllocatesNothing(t *testing.T) {
	b := newBench(t, config(), 200)
	rt := b.breaker.Count(fixed(&http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody}))
	r := request(exchange.With(t.Context(), &exchange.Record{}))
	got := testing.AllocsPerRun(1000, func() { _, _ = rt.RoundTrip(r) })
	if got > 0 {
		t.Errorf("a counted call allocates %v times, want none", got)
	}
}
