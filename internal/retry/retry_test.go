package retry

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sidecar/internal/exchange"
)

func TestWhatIsRepeated(t *testing.T) {
	refusal := &exchange.Refusal{Kind: exchange.CircuitBreaker, Reason: exchange.BreakerOpen}
	tests := []struct {
		name     string
		request  *http.Request
		replies  []any
		want     string
		attempts int
	}{
		{"a success is not", ask("GET", ""), []any{200}, "200", 1},
		{"503 until it is well", ask("GET", ""), []any{503, 503, 200}, "200", 3},
		{"the last answer is the client's", ask("GET", ""), []any{503, 502, 503}, "503", 3},
		{"an answer after a failure", ask("GET", ""), []any{exchange.FailedReset, 200}, "200", 2},
		{"the last failure", ask("GET", ""), []any{503, 502, exchange.FailedReset}, "reset", 3},
		{"what retryOn does not name is not", ask("GET", ""), []any{500}, "500", 1},
		{"nor a failure that it does not name", ask("GET", ""), []any{exchange.FailedProtocol}, "protocol", 1},
		{"a refusal ends it", ask("GET", ""), []any{503, refusal}, "breaker_open", 2},
		{"an unknown error ends it", ask("GET", ""), []any{io.ErrNoProgress}, io.ErrNoProgress.Error(), 1},
		{"the client's failure ends it", ask("GET", ""), []any{exchange.FailedClient}, "client", 1},
		{"POST is not", ask("POST", "x"), []any{503}, "503", 1},
		{"POST after a reset is not", ask("POST", "x"), []any{exchange.FailedReset}, "reset", 1},
		{"POST after a timeout is not", ask("POST", "x"), []any{exchange.FailedTimeout}, "timeout", 1},
		{"POST that was not sent is", ask("POST", "x"), []any{exchange.FailedConnect, 200}, "200", 2},
		{"POST whose connection was dead is", ask("POST", "x"), []any{exchange.FailedBeforeRequest, 200}, "200", 2},
		{"POST with an Idempotency-Key is", keyed(ask("POST", "x")), []any{503, exchange.FailedReset, 200}, "200", 3},
		{"PUT is", ask("PUT", "x"), []any{503, 200}, "200", 2},
		{"gRPC unavailable, trailers-only", keyed(ask("POST", "x")), []any{trailersOnly(14, nil), 200}, "200", 2},
		{"gRPC not found is an answer", keyed(ask("POST", "x")), []any{trailersOnly(5, nil)}, "200", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				send(t, policy(), tt.request, tt.replies...).want(t, tt.want, tt.attempts)
			})
		})
	}
}

func TestUnsentIsRepeatedOnlyIfRetryOnNamesIt(t *testing.T) {
	c := policy(func(c *Config) { c.RetryOn = exchange.Conditions{"503"} })
	send(t, c, ask("GET", ""), exchange.FailedConnect).want(t, "connect-failure", 1)
}

func TestOneAttemptIsNoLayer(t *testing.T) {
	up := &upstream{t: t}
	rt := New("safe", policy(func(c *Config) { c.MaxAttempts = 1 }), generous(), nil, half).Wrap(up)
	if rt != http.RoundTripper(up) {
		t.Errorf("Wrap returns %T, want what it was given", rt)
	}
}

func TestEarlierResponsesAreClosedAndTheLastIsWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := send(t, policy(), ask("GET", ""), 503, 503, 503)
		if x.up.closed != 2 {
			t.Errorf("%d responses closed, want 2", x.up.closed)
		}
		if body, err := io.ReadAll(x.resp.Body); string(body) != "answer" || err != nil {
			t.Errorf("body is %q, %v; want the last answer's", body, err)
		}
	})
}

func TestDecisions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := send(t, policy(), keyed(ask("POST", "")), exchange.FailedReset, trailersOnly(14, nil), 200)
		want := []string{"act reset: attempt 2 after reset", "act grpc-unavailable: attempt 3 after grpc-unavailable"}
		if diff := cmp.Diff(want, x.notes()); diff != "" {
			t.Errorf("decisions (-want +got):\n%s", diff)
		}
		c := policy(func(c *Config) { c.RetryOn = exchange.Conditions{"5xx"} })
		x = send(t, c, ask("GET", ""), 503, 200)
		wantNote := exchange.Decision{
			Kind: exchange.Retry, Policy: "safe", Outcome: exchange.Act, Reason: "5xx", Detail: "attempt 2 after 503", Line: 7,
		}
		if diff := cmp.Diff([]exchange.Decision{wantNote}, x.record.Decisions()); diff != "" {
			t.Errorf("decisions (-want +got):\n%s", diff)
		}
	})
}

func TestClientsFaultIsNotRepeated(t *testing.T) {
	x := send(t, policy(), ask("GET", ""), func(r *http.Request) (*http.Response, error) {
		exchange.From(r.Context()).BlameClient(&exchange.Refusal{Kind: exchange.ByClient, Reason: exchange.ClientBody})
		return nil, &exchange.Failure{Kind: exchange.FailedReset}
	})
	x.want(t, "reset", 1)
}

func TestNobodyWaits(t *testing.T) {
	tests := []struct {
		name string
		end  func(cancel context.CancelCauseFunc, rec *exchange.Record)
		want string
	}{
		{"the client left", func(cancel context.CancelCauseFunc, _ *exchange.Record) { cancel(nil) }, "client"},
		{"the time is up", func(cancel context.CancelCauseFunc, _ *exchange.Record) {
			cancel(&exchange.Failure{Kind: exchange.FailedTimeout})
		}, "timeout"},
		{"the client's body broke", func(_ context.CancelCauseFunc, rec *exchange.Record) {
			rec.BlameClient(&exchange.Refusal{Kind: exchange.ByClient, Reason: exchange.ClientBody})
		}, "client_body"},
	}
	for _, tt := range tests {
		t.Run(tt.name+" during the wait", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				rec := &exchange.Record{}
				time.AfterFunc(10*time.Millisecond, func() { tt.end(cancel, rec) })
				x := send(t, policy(), with(ask("GET", "").WithContext(ctx), rec), 503)
				x.want(t, tt.want, 1)
				if got := x.notes(); got != nil {
					t.Errorf("notes %q, want none: nothing was repeated", got)
				}
			})
		})
	}
	t.Run("the client left before", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		x := send(t, policy(), ask("GET", "").WithContext(ctx), func(r *http.Request) (*http.Response, error) {
			cancel()
			return withHeader(503, "X", "x")(r)
		})
		x.want(t, "503", 1)
	})
}

func TestDeadlineIsNotWaitedFor(t *testing.T) {
	tests := []struct {
		left     time.Duration // the wait is 50ms
		attempts int
	}{
		{51 * time.Millisecond, 2},
		{50 * time.Millisecond, 1},
		{-time.Second, 1},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			rec := &exchange.Record{Deadline: time.Now().Add(tt.left)}
			replies := append([]any{503}, []any{200}[:tt.attempts-1]...)
			x := send(t, policy(), with(ask("GET", ""), rec), replies...)
			if got := len(x.up.at); got != tt.attempts {
				t.Errorf("%v left: %d attempts, want %d", tt.left, got, tt.attempts)
			}
			if x.err != nil || tt.attempts == 1 && x.took != 0 {
				t.Errorf("%v left: ends after %v with %v", tt.left, x.took, x.err)
			}
		})
	}
}

func TestFirstAttemptAloneCarriesTheTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		ctx := context.WithValue(t.Context(), key{}, "kept")
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{})
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		var traced, kept []bool
		see := func(status int) reply {
			return func(r *http.Request) (*http.Response, error) {
				traced = append(traced, httptrace.ContextClientTrace(r.Context()) != nil)
				kept = append(kept, r.Context().Value(key{}) == "kept" && r.Context().Done() != nil)
				return withHeader(status, "X", "x")(r)
			}
		}
		send(t, policy(perTry(time.Second)), ask("GET", "").WithContext(ctx), see(503), see(503), see(200))
		if diff := cmp.Diff([]bool{true, false, false}, traced); diff != "" {
			t.Errorf("attempts with the 1xx hook (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]bool{true, true, true}, kept); diff != "" {
			t.Errorf("attempts with all else (-want +got):\n%s", diff)
		}
	})
}

// Over a real connection: the connection of an answer that is thrown away is
// used again, and a large body arrives twice.
func TestOverTheWire(t *testing.T) {
	var bodies []string
	var peers []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		bodies, peers = append(bodies, string(body)), append(peers, r.RemoteAddr)
		if len(bodies) < 3 {
			w.WriteHeader(503)
			_, _ = io.WriteString(w, strings.Repeat("sorry", 1000))
		}
	}))
	defer server.Close()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()

	c := policy(perTry(time.Minute), func(c *Config) { c.MaxBufferedBody = 1 << 20; c.Backoff = Backoff{} })
	want := strings.Repeat("0123456789", 10_000)
	r, err := http.NewRequestWithContext(t.Context(), "PUT", server.URL, io.NopCloser(strings.NewReader(want)))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := New("safe", c, generous(), nil, half).Wrap(transport).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 || len(bodies) != 3 || bodies[0] != want || bodies[2] != want {
		t.Errorf("got %d after %d whole bodies, want 200 after 3", resp.StatusCode, len(bodies))
	}
	if peers[0] != peers[2] {
		t.Errorf("connections %v, want one", peers)
	}
}

// fixed answers without allocating.
func fixed(resp *http.Response) http.RoundTripper {
	return exchange.RoundTripFunc(func(*http.Request) (*http.Response, error) { return resp, nil })
}

func TestHappyPathAllocatesNothing(t *testing.T) {
	rt := New("safe", policy(), generous(), nil, half).Wrap(fixed(&http.Response{StatusCode: 200, Body: http.NoBody}))
	r := ask("GET", "")
	if got := testing.AllocsPerRun(1000, func() { _, _ = rt.RoundTrip(r) }); got != 0 {
		t.Errorf("a call without a body allocates %v times, want 0", got)
	}
}

// BenchmarkRetry is what a call costs that need not be repeated. The budget is
// shared; an answer is the caller's own, since its body is wrapped.
func BenchmarkRetry(b *testing.B) {
	for name, body := range map[string]io.Reader{"no-body": nil, "body": errReader{}} {
		for limit, c := range map[string]Config{"": policy(), "-perTryTimeout": policy(perTry(time.Second))} {
			retry := New("safe", c, generous(), nil, half)
			once := func() func() {
				rt := retry.Wrap(fixed(&http.Response{StatusCode: 200, Body: http.NoBody}))
				r := httptest.NewRequest("PUT", "/", body)
				return func() {
					resp, _ := rt.RoundTrip(r)
					resp.Body.Close()
					resp.Body = http.NoBody
				}
			}
			b.Run(name+limit, func(b *testing.B) {
				call := once()
				b.ReportAllocs()
				for b.Loop() {
					call()
				}
			})
			b.Run(name+limit+"-parallel", func(b *testing.B) {
				b.SetParallelism(2)
				b.ReportAllocs()
				b.RunParallel(func(pb *testing.PB) {
					for call := once(); pb.Next(); {
						call()
					}
				})
			})
		}
	}
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, errors.New("nobody reads") }
