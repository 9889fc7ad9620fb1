package ratelimit

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"sidecar/internal/certs/certstest"
	"sidecar/internal/exchange"
)

// fakeService is a rate limit service, over real gRPC.
type fakeService struct {
	rls.UnimplementedRateLimitServiceServer
	addr string
	stop func()

	mu    sync.Mutex
	asked []string
	reply func(context.Context) (*rls.RateLimitResponse, error)
}

func startService(t *testing.T, addr string, opts ...grpc.ServerOption) *fakeService {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeService{addr: l.Addr().String()}
	f.replies(&rls.RateLimitResponse{OverallCode: rls.RateLimitResponse_OK})
	g := grpc.NewServer(opts...)
	rls.RegisterRateLimitServiceServer(g, f)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = g.Serve(l)
	}()
	f.stop = func() {
		g.Stop()
		<-done
	}
	t.Cleanup(f.stop)
	return f
}

func (f *fakeService) replies(r *rls.RateLimitResponse) {
	f.does(func(context.Context) (*rls.RateLimitResponse, error) { return r, nil })
}

func (f *fakeService) does(reply func(context.Context) (*rls.RateLimitResponse, error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reply = reply
}

func (f *fakeService) ShouldRateLimit(ctx context.Context, q *rls.RateLimitRequest) (*rls.RateLimitResponse, error) {
	text := q.GetDomain()
	for _, d := range q.GetDescriptors() {
		for _, e := range d.GetEntries() {
			text += fmt.Sprintf(" %s=%s", e.GetKey(), e.GetValue())
		}
	}
	f.mu.Lock()
	f.asked = append(f.asked, fmt.Sprint(text, " +", q.GetHitsAddend()))
	reply := f.reply
	f.mu.Unlock()
	return reply(ctx)
}

func (f *fakeService) last() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked[len(f.asked)-1]
}

func serviceAt(t *testing.T, addr string, config *tls.Config, timeout time.Duration) *Store {
	c := StoreConfig{Service: addr, Domain: "orders", Timeout: timeout}
	s := NewStore("limits", c, "", config, func(exchange.Event) {})
	t.Cleanup(s.Close)
	return s
}

// byService returns the policy "whatever the service says, by key".
func byService(onFailure string, key ...string) Config {
	var c Config
	c.SetDefaults()
	c.Line, c.Key, c.Store, c.OnStoreFailure = 5, key, "limits", onFailure
	return c
}

func TestWhatAServiceIsTold(t *testing.T) {
	f := startService(t, "127.0.0.1:0")
	s := serviceAt(t, f.addr, nil, 5*time.Second)
	who := func(p *exchange.Principal) func(*http.Request, *exchange.Record) {
		return func(_ *http.Request, record *exchange.Record) { record.Identify(p) }
	}
	from := func(addr string) func(*http.Request, *exchange.Record) {
		return func(_ *http.Request, record *exchange.Record) { record.Client = netip.MustParseAddr(addr) }
	}
	tests := []struct {
		name string
		key  []string
		with func(*http.Request, *exchange.Record)
		want string
	}{
		{"no key", nil, nil, "generic_key=per-tenant"},
		{"an address", []string{"ip"}, from("192.0.2.7"), "remote_address=192.0.2.7"},
		{"an IPv6 address", []string{"ip"}, from("2001:db8::7"), "remote_address=2001:db8::/64"},
		{"a claim", []string{"claim:tenant", "ip"}, who(&exchange.Principal{Claims: map[string]any{"tenant": "acme"}}), "claim:tenant=acme"},
		{"the second key", []string{"claim:tenant", "ip"}, nil, "remote_address=192.0.2.1"},
		{"a principal", []string{"principal"}, who(&exchange.Principal{Subject: "ann"}), "principal=ann"},
		{"a principal of an issuer", []string{"principal"}, who(&exchange.Principal{Subject: "ann", Issuer: "idp"}), "issuer=idp principal=ann"},
		{"a header", []string{"header:x-plan"}, func(r *http.Request, _ *exchange.Record) { r.Header.Set("X-Plan", "gold") }, "header:x-plan=gold"},
		{"the route", []string{"route"}, nil, "route=orders"},
		{"none of the keys", []string{"header:x-plan"}, nil, "generic_key=none"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := NewGate(limiterIn(t, "per-tenant", byService(Deny, tt.key...), s))
			r, _ := request(tt.with)
			if err := g.Check(r); err != nil {
				t.Fatal(err)
			}
			if got, want := f.last(), "orders "+tt.want+" +1"; got != want {
				t.Errorf("asked %q, want %q", got, want)
			}
		})
	}
}

func TestWhatAServiceSays(t *testing.T) {
	f := startService(t, "127.0.0.1:0")
	g := NewGate(limiterIn(t, "outside", byService(Deny), serviceAt(t, f.addr, nil, 5*time.Second)))
	const ok, over = rls.RateLimitResponse_OK, rls.RateLimitResponse_OVER_LIMIT
	says := func(code rls.RateLimitResponse_Code, left uint32, unit rls.RateLimitResponse_RateLimit_Unit) *rls.RateLimitResponse {
		return &rls.RateLimitResponse{OverallCode: code, Statuses: []*rls.RateLimitResponse_DescriptorStatus{{
			Code: code, LimitRemaining: left, DurationUntilReset: durationpb.New(7500 * time.Millisecond),
			CurrentLimit: &rls.RateLimitResponse_RateLimit{RequestsPerUnit: 5, Unit: unit},
		}}}
	}
	policy := []string{`"outside";q=5;w=60`}
	const minute = rls.RateLimitResponse_RateLimit_MINUTE
	refused := told{Refused: "outside", Spent: []string{"outside"}}
	with := func(w told, change func(*told)) told {
		change(&w)
		return w
	}
	tests := []struct {
		name string
		says *rls.RateLimitResponse
		want told
	}{
		{"some are left", says(ok, 3, minute), told{Policy: policy, Limit: []string{`"outside";r=3;t=8`}}},
		{"the last", says(ok, 0, minute), told{Policy: policy, Limit: []string{`"outside";r=0;t=8`}}},
		{"none is left", says(over, 0, minute), with(refused, func(w *told) {
			w.Policy, w.Limit, w.RetryAfter = policy, []string{`"outside";r=0;t=8`}, "8"
		})},
		{"a unit that nobody knows", says(ok, 3, 99), told{}},
		{"no limit for it", &rls.RateLimitResponse{OverallCode: ok}, told{}},
		{"none is left, and no more is told", &rls.RateLimitResponse{OverallCode: over}, with(refused, func(w *told) { w.RetryAfter = "1" })},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f.replies(tt.says)
			if diff := cmp.Diff(tt.want, ask(t, g)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	t.Run("no answer", func(t *testing.T) {
		f.replies(&rls.RateLimitResponse{})
		r, _ := request(nil)
		refusal, isRefusal := errors.AsType[*exchange.Refusal](g.Check(r))
		if !isRefusal || refusal.Reason != exchange.StoreUnavailable {
			t.Errorf("Check() = %v, want %s", refusal, exchange.StoreUnavailable)
		}
	})
}

func TestAServiceAddsFields(t *testing.T) {
	f := startService(t, "127.0.0.1:0")
	g := NewGate(limiterIn(t, "outside", byService(Deny), serviceAt(t, f.addr, nil, 5*time.Second)))
	reply := &rls.RateLimitResponse{OverallCode: rls.RateLimitResponse_OK}
	for name, value := range map[string]string{
		"x-ratelimit-limit": "5", "Content-Length": "7", "connection": "close", "RateLimit": "x", "Bad Name": "x",
		"X-Split": "a\r\nSet-Cookie: b", "grpc-status": "0", "Content-Range": "x", "X-Long": strings.Repeat("x", maxServiceField+1),
	} {
		reply.ResponseHeadersToAdd = append(reply.ResponseHeadersToAdd, &corev3.HeaderValue{Key: name, Value: value})
	}
	f.replies(reply)
	r, record := request(nil)
	if err := g.Check(r); err != nil {
		t.Fatal(err)
	}
	h := http.Header{}
	record.CopyHeader(h)
	if diff := cmp.Diff(http.Header{"X-Ratelimit-Limit": {"5"}}, h); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
}

func TestAServiceIsAwayAndBack(t *testing.T) {
	f := startService(t, "127.0.0.1:0")
	store := serviceAt(t, f.addr, nil, 50*time.Millisecond)
	g := NewGate(limiterIn(t, "outside", byService(Allow), store))
	broken := func() bool {
		r, record := request(nil)
		begin := time.Now()
		if err := g.Check(r); err != nil {
			t.Fatalf("Check() = %v, want nil", err)
		}
		if took := time.Since(begin); took > time.Second {
			t.Fatalf("a request waited %v", took)
		}
		return record.Decisions()[0].Outcome == exchange.Broken
	}
	paused := func() bool { return broken() && store.Status().Problem != "" }
	patiently(t, "the service is asked", func() bool { return !broken() })

	f.does(func(ctx context.Context) (*rls.RateLimitResponse, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
	patiently(t, "a service that hangs is not asked", paused)
	f.does(func(context.Context) (*rls.RateLimitResponse, error) {
		return nil, status.Error(codes.Internal, `"hunter2"`)
	})
	for range 50 {
		broken()
	}
	f.replies(&rls.RateLimitResponse{OverallCode: rls.RateLimitResponse_OK})
	patiently(t, "the service is asked again", func() bool { return !broken() })

	f.stop()
	patiently(t, "a service that is gone is not asked", paused)
	startService(t, f.addr)
	patiently(t, "the service is asked once it is back", func() bool { return !broken() })
}

func TestAServiceWithTLS(t *testing.T) {
	ca := certstest.New(t, "ca")
	creds := credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{ca.Issue(t, "limits").TLS(t)}})
	f := startService(t, "127.0.0.1:0", grpc.Creds(creds))
	for name, tt := range map[string]struct {
		config *tls.Config
		ok     bool
	}{
		"trusted": {&tls.Config{RootCAs: ca.Pool()}, true}, "not trusted": {&tls.Config{}, false}, "in the clear": {nil, false},
	} {
		g := NewGate(limiterIn(t, "outside", byService(Deny), serviceAt(t, f.addr, tt.config, 5*time.Second)))
		r, _ := request(nil)
		if err := g.Check(r); (err == nil) != tt.ok {
			t.Errorf("%s: Check() = %v, want ok: %v", name, err, tt.ok)
		}
	}
}
