package proxy

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	pb "google.golang.org/grpc/interop/grpc_testing"

	"sidecar/internal/exchange"
	"sidecar/internal/faults"
	"sidecar/internal/policy"
)

// fared is an observer that keeps what an experiment goes by.
type fared struct {
	exchange.NoAttempts
	ends chan string
}

func (f fared) Begin(ctx context.Context, _ *exchange.Record) context.Context { return ctx }

func (f fared) End(_ context.Context, r *exchange.Record) {
	failed, counts := r.Fared()
	met, spoiled := 0, []string(nil)
	for _, d := range r.Decisions() {
		if d.Kind == exchange.Fault && d.Outcome == exchange.Act {
			met++
		}
	}
	if r.Answered != nil {
		spoiled = r.Answered.Spoiled
	}
	f.ends <- fmt.Sprintf("met %d, spoiled %v, failed %v, counts %v", met, spoiled, failed, counts)
}

// What a record tells of faults, for those that judge whether clients noticed.
func TestWhatComesOfAFaultIsOnTheRecord(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/bad" {
			w.WriteHeader(500)
			return
		}
		_, _ = io.WriteString(w, strings.Repeat("well ", 1000))
	}))
	t.Cleanup(up.Close)
	tests := []struct {
		name, fault, path string
		retry             int
		status            int // 0: the answer breaks off
		want              string
	}{
		{"no fault", "percent: 0, abort: {status: 503}", "/", 1, 200, "met 0, spoiled [], failed false, counts true"},
		{"the upstream fails by itself", "percent: 0, abort: {status: 503}", "/bad", 1, 500, "met 0, spoiled [], failed true, counts true"},
		{"an abort", "abort: {status: 503}", "/", 1, 503, "met 1, spoiled [chaos], failed true, counts true"},
		{"an abort, twice", "abort: {status: 503}", "/", 2, 503, "met 2, spoiled [chaos], failed true, counts true"},
		{"an abort that is no error of the server's", "abort: {status: 404}", "/", 1, 404, "met 1, spoiled [chaos], failed false, counts true"},
		{"an abort that a retry absorbs", "percent: 50, seed: 2, abort: {status: 503}", "/", 10, 200, "met 1, spoiled [], failed false, counts true"},
		{"a reset", "abort: {connection: reset}", "/", 1, 502, "met 1, spoiled [], failed true, counts true"},
		{"a delay", "delay: {fixed: 1ms}", "/", 1, 200, "met 1, spoiled [], failed false, counts true"},
		{"a body that is cut", "body: {truncateAfter: 1KiB}", "/", 1, 0, "met 1, spoiled [], failed true, counts true"},
		{"a body that is changed", "body: {corrupt: 1}", "/", 1, 200, "met 1, spoiled [chaos], failed false, counts true"},
		{"a body that is slow", "body: {bandwidth: 1MiB/s}", "/", 1, 200, "met 1, spoiled [], failed false, counts true"},
		{"a black hole", "abort: {connection: blackhole}", "/", 1, 504, "met 1, spoiled [], failed true, counts true"},
		{"not the path", "abort: {status: 503}, when: {paths: [/other/**]}", "/", 1, 200, "met 0, spoiled [], failed false, counts true"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, err := policy.Parse("sidecar.yaml", fmt.Appendf(nil, `
version: v1
server: {trustedProxies: [127.0.0.1]}
upstreams: {app: {endpoints: [{url: "%s"}], retryBudget: {percent: 1000, minPerSecond: 1000}}}
policies: {fault: {chaos: {enabled: true, %s}}}
routes: [{name: all, upstream: app, timeout: 200ms, use: {fault: chaos, retry: {maxAttempts: %d, backoff: {base: 0s, max: 0s}}}}]
`, up.URL, tt.fault, tt.retry), policy.Options{})
			if err != nil {
				t.Fatal(err)
			}
			saw := fared{ends: make(chan string, 1)}
			p := New(Options{Observers: exchange.Observers{saw}, Faults: faults.NewSwitch(nil)})
			t.Cleanup(p.Close)
			if err := p.Apply(f); err != nil {
				t.Fatal(err)
			}
			r, _ := http.NewRequest("GET", listen(t, p)+tt.path, nil)
			r.Header.Set("X-Request-Id", "drill")
			resp, err := client(t).Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_, err = io.ReadAll(resp.Body)
			resp.Body.Close()
			if status := resp.StatusCode; tt.status == 0 && err == nil || tt.status != 0 && (status != tt.status || err != nil) {
				t.Errorf("answer = %d, %v, want %d", status, err, tt.status)
			}
			if got := <-saw.ends; got != tt.want {
				t.Errorf("the record says: %s, want: %s", got, tt.want)
			}
		})
	}
}

// What a breaker answers by itself is no attempt's, also when one was made.
func TestTheFallbacksAnswerIsNoAttempts(t *testing.T) {
	app, _ := counted(t)
	f, err := policy.Parse("sidecar.yaml", fmt.Appendf(nil, `
version: v1
upstreams: {app: {endpoints: [{url: "%s"}], retryBudget: {percent: 1000, minPerSecond: 1000}}}
policies:
  fault: {chaos: {enabled: true, abort: {status: 503}}}
  circuitBreaker: {quick: {consecutiveFailures: 1, fallback: {status: 200, body: sorry}}}
routes: [{name: all, upstream: app, use: {fault: chaos, circuitBreaker: quick, retry: {maxAttempts: 2, backoff: {base: 0s, max: 0s}}}}]
`, app), policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	saw := fared{ends: make(chan string, 1)}
	p := New(Options{Observers: exchange.Observers{saw}, Faults: faults.NewSwitch(nil)})
	t.Cleanup(p.Close)
	if err := p.Apply(f); err != nil {
		t.Fatal(err)
	}
	resp, err := client(t).Get(listen(t, p))
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK || string(text) != "sorry" {
		t.Errorf("answer = %d %s, want 200 sorry", resp.StatusCode, text)
	}
	if got, want := <-saw.ends, "met 1, spoiled [], failed false, counts true"; got != want {
		t.Errorf("the record says: %s, want: %s", got, want)
	}
}

// A gRPC call's end is on the record, in trailers or with the headers.
func TestHowAGRPCCallEndedIsOnTheRecord(t *testing.T) {
	_, up := serveGRPC(t)
	f, err := policy.Parse("sidecar.yaml", []byte(overH2C(strings.ReplaceAll(minimal, "${UPSTREAM}", up))), policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	saw := grpcEnds{ends: make(chan string, 1)}
	p := New(Options{Observers: exchange.Observers{saw}})
	t.Cleanup(p.Close)
	if err := p.Apply(f); err != nil {
		t.Fatal(err)
	}
	c := grpcClient(t, listen(t, p))
	for code, want := range map[int32]string{0: "0 false", 5: "5 false", 13: "13 true", 14: "14 true"} {
		_, _ = c.UnaryCall(within(t, 10*time.Second), &pb.SimpleRequest{ResponseStatus: &pb.EchoStatus{Code: code, Message: "m"}})
		if got := <-saw.ends; got != want {
			t.Errorf("a call that ends with %d: %s, want %s", code, got, want)
		}
	}
}

// grpcEnds is an observer that keeps the ends of gRPC calls, and whether they failed.
type grpcEnds struct {
	exchange.NoAttempts
	ends chan string
}

func (e grpcEnds) Begin(ctx context.Context, _ *exchange.Record) context.Context { return ctx }

func (e grpcEnds) End(_ context.Context, r *exchange.Record) {
	failed, _ := r.Fared()
	e.ends <- fmt.Sprint(r.GRPCStatus, " ", failed)
}
