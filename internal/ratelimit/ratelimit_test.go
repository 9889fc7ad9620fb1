package ratelimit

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunglas/httpsfv"
	"github.com/google/go-cmp/cmp"

	"sidecar/internal/exchange"
)

// config returns the policy "RATE, burst BURST" by key.
func config(rate string, burst int, key ...string) Config {
	c := Config{}
	c.SetDefaults()
	if err := c.Rate.UnmarshalText([]byte(rate)); err != nil {
		panic(err)
	}
	c.Line, c.Burst, c.Key = 5, burst, key
	return c
}

// limiter returns a policy with buckets of its own, which end with the test.
func limiter(t testing.TB, name string, c Config) *Limiter {
	b := NewBuckets(c)
	t.Cleanup(b.Close)
	return New(name, c, b, nil)
}

// request returns a request and its record, changed by with.
func request(with func(r *http.Request, record *exchange.Record)) (*http.Request, *exchange.Record) {
	r := httptest.NewRequest("GET", "/", nil)
	record := &exchange.Record{Route: "orders", Client: netip.MustParseAddr("192.0.2.1")}
	if with != nil {
		with(r, record)
	}
	return r.WithContext(exchange.With(r.Context(), record)), record
}

// told is what a client learns from one request.
type told struct {
	Refused    string // the policy
	Spent      []string
	RetryAfter string
	Policy     []string
	Limit      []string
}

func ask(t *testing.T, g *Gate) told {
	t.Helper()
	r, record := request(nil)
	err := g.Check(r)
	h := http.Header{}
	record.CopyHeader(h)
	got := told{Policy: h.Values("RateLimit-Policy"), Limit: h.Values("RateLimit")}
	var f *exchange.Refusal
	if errors.As(err, &f) {
		got.Refused, got.Spent, got.RetryAfter = f.Policy, f.Spent, f.Header.Get("Retry-After")
	}
	return got
}

func TestTheLimitIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(limiter(t, "tenant", config("2/s", 3)))
		policy := []string{`"tenant";q=3;w=2`}
		steps := []struct {
			after time.Duration
			want  told
		}{
			{0, told{Limit: []string{`"tenant";r=2;t=1`}}},
			{0, told{Limit: []string{`"tenant";r=1;t=1`}}},
			{0, told{Limit: []string{`"tenant";r=0;t=1`}}}, // the next passes in 0.5s
			{0, told{Limit: []string{`"tenant";r=0;t=1`}, Refused: "tenant", Spent: []string{"tenant"}, RetryAfter: "1"}},
			{500*time.Millisecond - 1, told{Limit: []string{`"tenant";r=0;t=1`}, Refused: "tenant", Spent: []string{"tenant"}, RetryAfter: "1"}},
			{1, told{Limit: []string{`"tenant";r=0;t=1`}}},
			{time.Second, told{Limit: []string{`"tenant";r=1;t=1`}}},
			{time.Hour, told{Limit: []string{`"tenant";r=2;t=1`}}},
		}
		for i, step := range steps {
			time.Sleep(step.after)
			step.want.Policy = policy
			if diff := cmp.Diff(step.want, ask(t, g)); diff != "" {
				t.Errorf("request %d (-want +got):\n%s", i+1, diff)
			}
		}
	})
}

func TestASlowRateIsToldInWholeSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(limiter(t, "slow", config("7/m", 2))) // one in 8.57s
		policy := []string{`"slow";q=2;w=18`}
		wants := []told{
			{Policy: policy, Limit: []string{`"slow";r=1;t=9`}},
			{Policy: policy, Limit: []string{`"slow";r=0;t=9`}},
			{Policy: policy, Limit: []string{`"slow";r=0;t=9`}, Refused: "slow", Spent: []string{"slow"}, RetryAfter: "9"},
		}
		for i, want := range wants {
			if diff := cmp.Diff(want, ask(t, g)); diff != "" {
				t.Errorf("request %d (-want +got):\n%s", i+1, diff)
			}
		}
		time.Sleep(9 * time.Second) // as told
		if got := ask(t, g); got.Refused != "" {
			t.Errorf("after Retry-After: refused by %s, want none", got.Refused)
		}
	})
}

func TestTheRateHoldsInTheLongRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(limiter(t, "tenant", config("50/s", 100)))
		passed := 0
		for range 10_000 { // of 1000/s, for 10s
			if ask(t, g).Refused == "" {
				passed++
			}
			time.Sleep(time.Millisecond)
		}
		if want := 100 + 10*50; passed < want-1 || passed > want {
			t.Errorf("%d requests passed, want %d", passed, want)
		}
	})
}

func TestTheRefusal(t *testing.T) {
	c := config("1/h", 1, "header:X-Api-Key")
	g := NewGate(limiter(t, "tenant", c))
	r, _ := request(func(r *http.Request, _ *exchange.Record) { r.Header.Set("X-Api-Key", "hunter2") })
	if err := g.Check(r); err != nil {
		t.Fatal(err)
	}
	want := &exchange.Refusal{
		Kind: exchange.RateLimit, Policy: "tenant", Reason: exchange.RateLimited, Line: 5,
		Detail: "1/h is spent; the next request passes in 3600 s",
		Note:   "1/h is spent; the next request passes in 3600 s, counted by header:X-Api-Key",
		Header: http.Header{"Retry-After": {"3600"}}, Spent: []string{"tenant"},
	}
	var got *exchange.Refusal
	if !errors.As(g.Check(r), &got) {
		t.Fatal("Check() = nil, want a refusal")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Check() (-want +got):\n%s", diff)
	}
}

func TestAllLimitsMustPassAndNothingIsSpentOtherwise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wide := limiter(t, "wide", config("1/s", 5))
		tight := limiter(t, "tight", config("6/m", 1))
		last := limiter(t, "last", config("1/m", 1))
		g := NewGate(wide, tight, last)

		ask(t, g)
		ask(t, NewGate(last)) // refused: it is spent
		want := told{
			Refused: "tight",
			Spent:   []string{"tight", "last"}, // not wide, which had one left
			// Not the 10s of tight: last would refuse until then.
			RetryAfter: "60",
			Policy:     []string{`"wide";q=5;w=5`, `"tight";q=1;w=10`, `"last";q=1;w=60`},
			Limit:      []string{`"wide";r=4;t=1`, `"tight";r=0;t=10`, `"last";r=0;t=60`},
		}
		for range 10 {
			if diff := cmp.Diff(want, ask(t, g)); diff != "" {
				t.Fatalf("(-want +got):\n%s", diff)
			}
		}
		if got := ask(t, NewGate(last, tight)); got.Refused != "last" || got.RetryAfter != "60" {
			t.Errorf("in another order: %+v, want last to refuse for 60s", got)
		}
		time.Sleep(10 * time.Second)
		if got := ask(t, g); got.Refused != "last" || got.Limit[1] != `"tight";r=1;t=0` {
			t.Errorf("got %+v, want last to refuse and tight to have its request back", got)
		}
	})
}

func TestPoliciesShareBuckets(t *testing.T) {
	c := config("1/h", 2)
	b := NewBuckets(c)
	before, after := New("tenant", c, b, nil), New("tenant", c, b, nil) // two routes, or a reload
	for i, l := range []*Limiter{before, after, before, after} {
		if got, want := ask(t, NewGate(l)).Refused != "", i >= 2; got != want {
			t.Errorf("request %d refused: %v, want %v", i+1, got, want)
		}
	}
}

func TestNoMoreThanTheBurstPassesAtOnce(t *testing.T) {
	const burst, clients = 1000, 8
	first, second := limiter(t, "a", config("1/h", burst, "ip")), limiter(t, "b", config("1/h", burst/2))
	g := NewGate(first, second)
	var passed atomic.Int64
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for range burst {
				r, _ := request(nil)
				if g.Check(r) == nil {
					passed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if got := passed.Load(); got != burst/2 {
		t.Errorf("%d requests passed, want %d", got, burst/2)
	}
	// The first limit has back what the second refused.
	if got, want := ask(t, NewGate(first)).Limit[0], fmt.Sprintf(`"a";r=%d;`, burst/2-1); !strings.HasPrefix(got, want) {
		t.Errorf("RateLimit = %s, want %s", got, want)
	}
}

func TestKeys(t *testing.T) {
	is := func(p *exchange.Principal) func(*http.Request, *exchange.Record) {
		return func(_ *http.Request, record *exchange.Record) { record.Identify(p) }
	}
	from := func(addr string) func(*http.Request, *exchange.Record) {
		return func(_ *http.Request, record *exchange.Record) { record.Client = netip.MustParseAddr(addr) }
	}
	sends := func(name, value string) func(*http.Request, *exchange.Record) {
		return func(r *http.Request, _ *exchange.Record) { r.Header.Set(name, value) }
	}
	on := func(route string) func(*http.Request, *exchange.Record) {
		return func(_ *http.Request, record *exchange.Record) { record.Route = route }
	}
	claim := func(name string, value any) *exchange.Principal {
		return &exchange.Principal{Claims: map[string]any{name: value}}
	}
	named := claim("org", map[string]any{"id": "acme"})
	named.Names = map[string]string{"tenant": "org.id"}
	long := strings.Repeat("x", 1000)
	type with = func(*http.Request, *exchange.Record)
	tests := []struct {
		name string
		key  []string
		a, b with
		same bool
	}{
		{"no key", nil, from("192.0.2.1"), from("192.0.2.2"), true},
		{"two hosts", []string{"ip"}, from("192.0.2.1"), from("192.0.2.2"), false},
		{"one host in two families", []string{"ip"}, from("192.0.2.1"), from("::ffff:192.0.2.1"), true},
		{"one /64", []string{"ip"}, from("2001:db8::1"), from("2001:db8::ffff:1"), true},
		{"two /64", []string{"ip"}, from("2001:db8::1"), from("2001:db8:0:1::1"), false},
		{"a zone does not matter", []string{"ip"}, from("fe80::1%eth0"), from("fe80::1%eth1"), true},
		{"two claims", []string{"claim:tenant"}, is(claim("tenant", "a")), is(claim("tenant", "b")), false},
		{"a claim under its name", []string{"claim:tenant"}, is(named), is(claim("tenant", "acme")), true},
		{"numbers", []string{"claim:tenant"}, is(claim("tenant", json.Number("7"))), is(claim("tenant", "7")), true},
		{"two subjects", []string{"principal"}, is(&exchange.Principal{Subject: "a"}), is(&exchange.Principal{Subject: "b"}), false},
		{"one subject of two issuers", []string{"principal"}, is(&exchange.Principal{Subject: "a", Issuer: "x"}), is(&exchange.Principal{Subject: "a", Issuer: "y"}), false},
		{"two headers", []string{"header:x-api-key"}, sends("X-Api-Key", "a"), sends("X-Api-Key", "b"), false},
		{"one header", []string{"header:x-api-key"}, sends("X-Api-Key", "a"), sends("X-Api-Key", "a"), true},
		{"two hosts that are asked", []string{"header:Host"}, func(r *http.Request, _ *exchange.Record) { r.Host = "a" }, func(r *http.Request, _ *exchange.Record) { r.Host = "b" }, false},
		{"long values that differ at the end", []string{"header:X-Api-Key"}, sends("X-Api-Key", long+"a"), sends("X-Api-Key", long+"b"), false},
		{"a long value and its hash", []string{"header:X-Api-Key"}, sends("X-Api-Key", long), sends("X-Api-Key", key{value: long}.bounded().value), false},
		{"two routes", []string{"route"}, on("a"), on("b"), false},
		{"a claim and a header with one value", []string{"claim:id", "header:id"}, is(claim("id", "x")), sends("id", "x"), false},
		{"the second key counts when the first is absent", []string{"claim:tenant", "ip"}, from("192.0.2.1"), from("192.0.2.2"), false},
		{"a claim that is a list is absent", []string{"claim:tenant"}, is(claim("tenant", []any{"a"})), is(claim("tenant", []any{"b"})), true},
		{"an empty header is an absent one", []string{"header:X-Api-Key"}, sends("X-Api-Key", ""), nil, true},
		{"a principal without a subject is absent", []string{"principal"}, is(claim("a", "b")), nil, true},
		{"nobody is one bucket", []string{"claim:tenant", "principal", "header:X"}, from("192.0.2.1"), from("192.0.2.2"), true},
		{"nobody is not an empty value", []string{"header:X"}, nil, sends("X", noKey), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := NewGate(limiter(t, "tenant", config("1/h", 1, tt.key...)))
			a, _ := request(tt.a)
			b, _ := request(tt.b)
			if err := g.Check(a); err != nil {
				t.Fatalf("Check() of the first request = %v, want nil", err)
			}
			if got := g.Check(b) != nil; got != tt.same {
				t.Errorf("the second request draws from the same bucket: %v, want %v", got, tt.same)
			}
		})
	}
}

func TestBucketsAreBounded(t *testing.T) {
	c := config("1/h", 1, "header:X")
	c.MaxKeys = 100
	l := limiter(t, "tenant", c)
	g := NewGate(l)
	for i := range 10_000 {
		r, _ := request(func(r *http.Request, _ *exchange.Record) { r.Header.Set("X", strconv.Itoa(i)) })
		if err := g.Check(r); err != nil {
			t.Fatal(err)
		}
	}
	l.buckets.cells.CleanUp()
	if got := l.buckets.Len(); got > c.MaxKeys {
		t.Errorf("Len() = %d, want at most %d", got, c.MaxKeys)
	}
}

func TestOnlyFullBucketsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limiter(t, "tenant", config("6/m", 3, "ip")) // full after 30s
		g := NewGate(l)
		for range 3 {
			ask(t, g)
		}
		time.Sleep(30*time.Second - 1)
		l.buckets.cells.CleanUp()
		if got := ask(t, g).Limit[0]; got != `"tenant";r=1;t=11` {
			t.Errorf("just before it is full again: RateLimit = %s, want %s", got, `"tenant";r=1;t=11`)
		}
		time.Sleep(time.Minute)
		l.buckets.cells.CleanUp()
		if got := l.buckets.Len(); got != 0 {
			t.Errorf("Len() = %d, want 0", got)
		}
	})
}

func TestTheFieldsAreStructured(t *testing.T) {
	for name, want := range map[string]string{"per-tenant": "per-tenant", "orders/rateLimit": "orders/rateLimit", `a"b\c`: `a"b\c`, "größe": "gr__e"} {
		g := NewGate(limiter(t, name, config("1/h", 1_000_000)))
		got := ask(t, g)
		for _, field := range [][]string{got.Policy, got.Limit} {
			list, err := httpsfv.UnmarshalList(field)
			if err != nil || len(list) != 1 || list[0].(httpsfv.Item).Value != want {
				t.Errorf("field %q = %v, %v; want one member %q", field, list, err, want)
			}
			if text, err := httpsfv.Marshal(list); err != nil || text != field[0] {
				t.Errorf("field %q is written %q, %v by the library", field, text, err)
			}
		}
	}
}

// A Check allocates for the fields it puts on the record, and for nothing else.
func TestADrawDoesNotAllocate(t *testing.T) {
	for _, key := range [][]string{nil, {"claim:tenant"}, {"claim:none", "ip"}, {"route"}} {
		l := limiter(t, "tenant", config("1000000/s", 1_000_000, key...))
		r, record := request(nil)
		record.Identify(&exchange.Principal{Claims: map[string]any{"tenant": "acme"}})
		draw := func() {
			var d [1]draw
			d[0].begin(l, record, r)
			d[0].take(record)
			giveBack(d[:])
		}
		draw() // makes the bucket
		if got := testing.AllocsPerRun(100, draw); got != 0 {
			t.Errorf("a draw by %v allocates %v times, want 0", key, got)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	for _, key := range [][]string{nil, {"ip"}, {"claim:tenant"}} {
		g := NewGate(limiter(b, "tenant", config("1000000/s", 1_000_000, key...)))
		b.Run(fmt.Sprint(key), func(b *testing.B) { benchmark(b, g) })
	}
	b.Run("without", func(b *testing.B) { // what of the above is the benchmark's own
		bare := httptest.NewRequest("GET", "/", nil)
		b.ReportAllocs()
		for b.Loop() {
			_ = fresh(bare, nil)
		}
	})
}

// fresh returns r with a new record: a record keeps what every Check adds.
func fresh(r *http.Request, p *exchange.Principal) *http.Request {
	record := &exchange.Record{Client: netip.AddrFrom4([4]byte{192, 0, 2, 1})}
	record.Identify(p)
	return r.WithContext(exchange.With(r.Context(), record))
}

// benchmark has g check requests, one by one and from many sides.
func benchmark(b *testing.B, g *Gate) {
	p := &exchange.Principal{Claims: map[string]any{"tenant": "acme"}}
	b.Run("sequential", func(b *testing.B) {
		bare := httptest.NewRequest("GET", "/", nil)
		b.ReportAllocs()
		for b.Loop() {
			_ = g.Check(fresh(bare, p))
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.SetParallelism(2)
		b.RunParallel(func(pb *testing.PB) {
			bare := httptest.NewRequest("GET", "/", nil)
			for pb.Next() {
				_ = g.Check(fresh(bare, p))
			}
		})
	})
}
