package metrics

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"sidecar/internal/exchange"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// scrape returns the series of our own, "name{labels} value", whose name is
// one of names; none for all.
func scrape(t testing.TB, m *Metrics, names ...string) []string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("scrape = %d %s", w.Code, w.Body)
	}
	var series []string
	for line := range strings.Lines(w.Body.String()) {
		name, own := strings.CutPrefix(line, namespace+"_")
		if i := strings.IndexAny(name, "{ "); own && (len(names) == 0 || slices.Contains(names, name[:i])) {
			series = append(series, strings.TrimSpace(name))
		}
	}
	return series
}

// nonzero drops the series that are 0.
func nonzero(series []string) []string {
	return slices.DeleteFunc(series, func(s string) bool { return strings.HasSuffix(s, " 0") })
}

// send sends an attempt through m.
func send(m *Metrics, r *exchange.Record, a exchange.Attempt) {
	m.Attempted(m.Attempt(context.Background(), r, &a), r, &a)
}

func TestEndCountsTheRequest(t *testing.T) {
	tests := []struct {
		name   string
		record *exchange.Record
		want   string
	}{
		{"under its route", &exchange.Record{Route: "orders", Method: "POST", Status: 201}, `{code="201",method="POST",route="orders"} 1`},
		{"under none without a route", &exchange.Record{Route: "none", Method: "GET", Status: 404}, `{code="404",method="GET",route="none"} 1`},
		{"as 499 when the client left", &exchange.Record{Route: "orders", Method: "GET", Status: exchange.StatusClientClosed}, `{code="499",method="GET",route="orders"} 1`},
		{"as _OTHER with a method of its own making", &exchange.Record{Route: "orders", Method: "BREW", Status: 405}, `{code="405",method="_OTHER",route="orders"} 1`},
		{"as _OTHER with a method in lower case", &exchange.Record{Route: "orders", Method: "get", Status: 405}, `{code="405",method="_OTHER",route="orders"} 1`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := New(BuildInfo{})
			m.End(m.Begin(t.Context(), tt.record), tt.record)
			got := nonzero(scrape(t, m, "http_requests_total"))
			if diff := cmp.Diff([]string{"http_requests_total" + tt.want}, got); diff != "" {
				t.Errorf("series (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDurationsFallIntoBuckets(t *testing.T) {
	m := New(BuildInfo{})
	r := &exchange.Record{Route: "orders", Method: "GET", Status: 200, Took: 30 * time.Millisecond}
	send(m, r, exchange.Attempt{Upstream: "orders-v1", Status: 200, Took: 20 * time.Millisecond})
	m.End(t.Context(), r)
	all := strings.Join(scrape(t, m), "\n")
	for _, want := range []string{
		`http_request_duration_seconds_bucket{method="GET",route="orders",le="0.025"} 0`,
		`http_request_duration_seconds_bucket{method="GET",route="orders",le="0.05"} 1`,
		`http_request_duration_seconds_sum{method="GET",route="orders"} 0.03`,
		`upstream_request_duration_seconds_bucket{route="orders",upstream="orders-v1",le="0.01"} 0`,
		`upstream_request_duration_seconds_bucket{route="orders",upstream="orders-v1",le="0.025"} 1`,
	} {
		if !strings.Contains(all, want) {
			t.Errorf("no %s in\n%s", want, all)
		}
	}
}

func TestRequestsInFlight(t *testing.T) {
	m := New(BuildInfo{})
	m.Routes([]string{"orders"})
	r := exchange.Record{Route: "orders"}
	for _, step := range []struct {
		do   func()
		want string
	}{
		{func() {}, "0"},
		{func() { m.Begin(t.Context(), &r) }, "1"},
		{func() { m.Begin(t.Context(), &r) }, "2"},
		{func() { m.End(t.Context(), &r) }, "1"},
		{func() { m.End(t.Context(), &r) }, "0"},
	} {
		step.do()
		want := []string{`http_requests_in_flight{route="none"} 0`, `http_requests_in_flight{route="orders"} ` + step.want}
		if got := scrape(t, m, "http_requests_in_flight"); !slices.Equal(got, want) {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestAttemptsAreCountedAsTheyEnd(t *testing.T) {
	m := New(BuildInfo{})
	r := &exchange.Record{Route: "orders"}
	reset := &exchange.Failure{Kind: exchange.FailedReset, Err: errors.New("EOF")}
	send(m, r, exchange.Attempt{Number: 1, Upstream: "v1", Failure: reset})
	send(m, r, exchange.Attempt{Number: 2, Upstream: "v1", Status: 503})
	send(m, r, exchange.Attempt{Number: 3, Upstream: "v1", Status: 503, Replays: 2})
	send(m, r, exchange.Attempt{Number: 4, Upstream: "v2", Status: 200})
	want := []string{
		`upstream_requests_total{code="200",route="orders",upstream="v2"} 1`,
		`upstream_requests_total{code="503",route="orders",upstream="v1"} 2`,
		`upstream_requests_total{code="replayed",route="orders",upstream="v1"} 2`,
		`upstream_requests_total{code="reset",route="orders",upstream="v1"} 1`,
		`upstream_request_duration_seconds_count{route="orders",upstream="v1"} 3`,
		`upstream_request_duration_seconds_count{route="orders",upstream="v2"} 1`,
	}
	slices.Sort(want)
	got := nonzero(scrape(t, m, "upstream_requests_total", "upstream_request_duration_seconds_count"))
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
}

func TestDecisionsAreCounted(t *testing.T) {
	tests := []struct {
		name     string
		decision exchange.Decision
		want     []string // beside policy_decisions_total
	}{
		{"a pass", exchange.Decision{Kind: exchange.Validation, Policy: "p", Outcome: exchange.Pass}, nil},
		{
			"a rule that allows",
			exchange.Decision{Kind: exchange.Authz, Policy: "p", Outcome: exchange.Pass, Rule: "readers"},
			[]string{`authz_rule_decisions_total{outcome="pass",policy="p",route="orders",rule="readers"} 1`},
		},
		{
			"a rule that would have denied",
			exchange.Decision{Kind: exchange.Authz, Policy: "p", Outcome: exchange.Shadow, Reason: exchange.RuleDenied, Rule: "no-posts"},
			[]string{`authz_rule_decisions_total{outcome="shadow",policy="p",route="orders",rule="no-posts"} 1`},
		},
		{
			"no rule that allows",
			exchange.Decision{Kind: exchange.Authz, Policy: "p", Outcome: exchange.Refuse, Reason: exchange.NoAllowRule},
			[]string{`authz_rule_decisions_total{outcome="refuse",policy="p",route="orders",rule=""} 1`},
		},
		{"a refusal", exchange.Decision{Kind: exchange.RateLimit, Policy: "p", Outcome: exchange.Refuse, Reason: exchange.RateLimited}, nil},
		{
			"a retry",
			exchange.Decision{Kind: exchange.Retry, Policy: "p", Outcome: exchange.Act, Reason: "503"},
			[]string{`retries_total{reason="503",route="orders"} 1`},
		},
		{"a retry that would have been", exchange.Decision{Kind: exchange.Retry, Policy: "p", Outcome: exchange.Shadow, Reason: "503"}, nil},
		{"a hedge that begins", exchange.Decision{Kind: exchange.Retry, Policy: "p", Outcome: exchange.Act, Reason: exchange.Hedged}, nil},
		{
			"a hedge that wins",
			exchange.Decision{Kind: exchange.Retry, Policy: "p", Outcome: exchange.Pass, Reason: exchange.HedgeWon},
			[]string{`hedges_total{outcome="won",policy="p",route="orders"} 1`},
		},
		{
			"a hedge that loses",
			exchange.Decision{Kind: exchange.Retry, Policy: "p", Outcome: exchange.Pass, Reason: exchange.HedgeLost},
			[]string{`hedges_total{outcome="lost",policy="p",route="orders"} 1`},
		},
		{
			"a body that is not kept",
			exchange.Decision{Kind: exchange.Retry, Policy: "p", Outcome: exchange.Broken, Reason: exchange.BodyNotReplayable},
			[]string{`retry_bodies_not_replayable_total{policy="p",route="orders"} 1`},
		},
		{
			"a budget that is spent",
			exchange.Decision{Kind: exchange.Retry, Policy: "p", Outcome: exchange.Pass, Reason: exchange.BudgetExhausted},
			[]string{`retry_budget_exhausted_total{route="orders"} 1`},
		},
		{
			"a delay",
			exchange.Decision{Kind: exchange.Fault, Policy: "p", Outcome: exchange.Act, Reason: exchange.FaultDelay},
			[]string{`faults_injected_total{fault="p",route="orders",type="delay"} 1`},
		},
		{
			"an abort",
			exchange.Decision{Kind: exchange.Fault, Policy: "p", Outcome: exchange.Act, Reason: exchange.FaultAbort},
			[]string{`faults_injected_total{fault="p",route="orders",type="abort"} 1`},
		},
		{"a fault that would have been", exchange.Decision{Kind: exchange.Fault, Policy: "p", Outcome: exchange.Shadow, Reason: exchange.FaultAbort}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := New(BuildInfo{})
			r := &exchange.Record{Route: "orders"}
			r.Note(tt.decision)
			m.End(t.Context(), r)
			d := tt.decision
			want := append([]string{fmt.Sprintf(
				`policy_decisions_total{kind=%q,outcome=%q,policy="p",reason=%q,route="orders"} 1`, d.Kind, d.Outcome, d.Reason,
			)}, tt.want...)
			slices.Sort(want)
			got := nonzero(scrape(t, m, "policy_decisions_total", "retries_total",
				"retry_budget_exhausted_total", "hedges_total", "retry_bodies_not_replayable_total", "faults_injected_total", "authz_rule_decisions_total"))
			slices.Sort(got)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("series (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSeriesStayFewUnderHostileRequests(t *testing.T) {
	m := New(BuildInfo{})
	m.Routes([]string{"orders"})
	random := rand.New(rand.NewPCG(1, 2))
	word := func() string {
		b := make([]byte, 1+random.IntN(8))
		for i := range b {
			b[i] = byte(random.UintN(256))
		}
		return string(b)
	}
	for range 5000 {
		r := &exchange.Record{
			ID: word(), Method: word(), Path: word(), Host: word(), Proto: word(),
			Route: "orders", Upstream: "orders", Status: 403,
			RequestHeader: http.Header{word(): {word()}},
			Took:          time.Duration(random.Int64N(int64(time.Minute))),
		}
		r.Identify(&exchange.Principal{Subject: word()})
		r.Note(exchange.Decision{Kind: exchange.Authz, Policy: "rbac", Outcome: exchange.Refuse, Reason: exchange.RuleDenied, Detail: word()})
		send(m, r, exchange.Attempt{Upstream: "orders", Endpoint: word(), Status: 200})
		m.End(m.Begin(t.Context(), r), r)
	}
	// Two routes have 1 + 5 + 14 + 1 series from the start (in flight, codes,
	// histogram, budget), ten have no route, and the 5000 requests add a code,
	// the histogram of their method, an attempt, its histogram, a decision and its rule.
	const most = 2*(1+5+14+1) + 10 + 1 + 14 + 1 + 14 + 2
	if got := scrape(t, m); len(got) > most {
		t.Errorf("%d series, want at most %d:\n%s", len(got), most, strings.Join(got, "\n"))
	}
}

// An increase is only seen from a series that was there before.
func TestRoutesBeginAtZero(t *testing.T) {
	m := New(BuildInfo{})
	m.Routes([]string{"orders"})
	got := scrape(t, m)
	for _, want := range []string{
		`http_requests_total{code="200",method="GET",route="orders"} 0`,
		`http_requests_total{code="503",method="GET",route="orders"} 0`,
		`http_requests_total{code="503",method="GET",route="none"} 0`,
		`http_request_duration_seconds_count{method="GET",route="orders"} 0`,
		`retry_budget_exhausted_total{route="orders"} 0`,
	} {
		if !slices.Contains(got, want) {
			t.Errorf("no %s in\n%s", want, strings.Join(got, "\n"))
		}
	}
}

func TestRoutesComeAndGo(t *testing.T) {
	m := New(BuildInfo{})
	series := func(route string) (n int) {
		for _, s := range scrape(t, m) {
			if strings.Contains(s, fmt.Sprintf("route=%q", route)) {
				n++
			}
		}
		return n
	}
	busy := &exchange.Record{Route: "old", Method: "GET", Status: 500}
	busy.Note(exchange.Decision{Kind: exchange.Retry, Policy: "safe", Outcome: exchange.Act, Reason: "503"})
	busy.Note(exchange.Decision{Kind: exchange.Fault, Policy: "chaos", Outcome: exchange.Act, Reason: exchange.FaultAbort})

	m.Routes([]string{"old", "kept"})
	fresh := series("kept")
	if fresh == 0 || series("old") != fresh || series("none") != fresh {
		t.Fatalf("new routes have %d, %d and %d series, want as many, and some", fresh, series("old"), series("none"))
	}
	late := &exchange.Attempt{Upstream: "orders", Status: 200}
	ctx := m.Attempt(t.Context(), busy, late)
	send(m, busy, exchange.Attempt{Upstream: "orders", Status: 200})
	m.End(t.Context(), busy)
	m.End(t.Context(), &exchange.Record{Route: "kept", Method: "GET", Status: 200})

	m.Routes([]string{"kept", "new"})
	if got := series("old"); got != 0 {
		t.Errorf("a vanished route has %d series, want none", got)
	}
	if got := series("new"); got != fresh {
		t.Errorf("a new route has %d series, want %d", got, fresh)
	}
	if got, want := nonzero(scrape(t, m, "http_requests_total")), `http_requests_total{code="200",method="GET",route="kept"} 1`; !slices.Contains(got, want) {
		t.Errorf("after the reload %s, want %s to be kept", got, want)
	}

	m.Attempted(ctx, busy, late)
	m.End(t.Context(), busy)
	if got, want := scrape(t, m, "http_requests_total"), `http_requests_total{code="500",method="GET",route="old"} 1`; !slices.Contains(got, want) {
		t.Errorf("a request that outlived its route is lost: %s", got)
	}
	m.Routes([]string{"kept"})
	if old, gone := series("old"), series("new"); old != 0 || gone != 0 {
		t.Errorf("after the next reload %d and %d series, want none", old, gone)
	}
	if series("none") == 0 {
		t.Error("requests without a route have no series, want them to stay")
	}
}

func TestLevelsAreReadAtTheScrape(t *testing.T) {
	m := New(BuildInfo{})
	names := []string{"circuit_breaker_calls_total", "circuit_breaker_slow_calls_total", "circuit_breaker_state", "concurrency_baseline_seconds", "concurrency_in_flight", "concurrency_limit", "concurrency_queued", "concurrency_shed_total", "config_info", "fault_active", "jwks_last_success_timestamp_seconds", "retry_budget_remaining", "store_available", "store_calls_total", "tls_certificate_expiry_timestamp_seconds", "trace_spans_dropped_total"}
	if got := scrape(t, m, names...); len(got) != 0 {
		t.Errorf("before Levels: %s, want nothing", got)
	}
	now := Levels{
		Breakers: []BreakerLevel{{Name: "standard@orders", State: "half-open", Calls: 9, Failures: 4, Slowed: 2}},
		Faults:   []FaultLevel{{"chaos", true}, {"slow", false}},
		Budgets:  []BudgetLevel{{"orders", 4.5}},
		KeySets:  []KeySetLevel{{"away", time.Time{}}, {"https://id.example.com/", time.UnixMilli(1500)}},
		Limits: []LimitLevel{
			{"adaptive@orders", 14, 12, 3, .02, map[string]uint64{"normal": 2, "batch": 9}},
			{Name: "tried@orders", Limit: 8, InFlight: 9},
		},
		Stores:     []StoreLevel{{Name: "shared", Answered: 5, Failed: 3, Skipped: 7}},
		PolicyHash: "abc",

		Certificates: []CertificateLevel{{"data", "", "certFile", time.Unix(7, 0)}, {"", "orders", "caFile", time.Unix(8, 0)}},

		SpansDropped: map[string]int64{"queue_full": 7, "export_failed": 0},
	}
	m.Levels(func() Levels { return now })
	want := []string{
		`circuit_breaker_calls_total{name="standard@orders",outcome="failure"} 4`,
		`circuit_breaker_calls_total{name="standard@orders",outcome="success"} 5`,
		`circuit_breaker_slow_calls_total{name="standard@orders"} 2`,
		`circuit_breaker_state{name="standard@orders",state="closed"} 0`,
		`circuit_breaker_state{name="standard@orders",state="half-open"} 1`,
		`circuit_breaker_state{name="standard@orders",state="open"} 0`,
		`concurrency_baseline_seconds{name="adaptive@orders"} 0.02`,
		`concurrency_in_flight{name="adaptive@orders"} 12`,
		`concurrency_in_flight{name="tried@orders"} 9`,
		`concurrency_limit{name="adaptive@orders"} 14`,
		`concurrency_limit{name="tried@orders"} 8`,
		`concurrency_queued{name="adaptive@orders"} 3`,
		`concurrency_queued{name="tried@orders"} 0`,
		`concurrency_shed_total{class="batch",name="adaptive@orders"} 9`,
		`concurrency_shed_total{class="normal",name="adaptive@orders"} 2`,
		`config_info{hash="abc"} 1`,
		`fault_active{name="chaos"} 1`,
		`fault_active{name="slow"} 0`,
		`jwks_last_success_timestamp_seconds{issuer="away"} 0`,
		`jwks_last_success_timestamp_seconds{issuer="https://id.example.com/"} 1.5`,
		`retry_budget_remaining{upstream="orders"} 4.5`,
		`store_available{store="shared"} 0`,
		`store_calls_total{result="answered",store="shared"} 5`,
		`store_calls_total{result="failed",store="shared"} 3`,
		`store_calls_total{result="skipped",store="shared"} 7`,
		`tls_certificate_expiry_timestamp_seconds{file="caFile",listener="",upstream="orders"} 8`,
		`tls_certificate_expiry_timestamp_seconds{file="certFile",listener="data",upstream=""} 7`,
		`trace_spans_dropped_total{reason="export_failed"} 0`,
		`trace_spans_dropped_total{reason="queue_full"} 7`,
	}
	if diff := cmp.Diff(want, scrape(t, m, names...)); diff != "" {
		t.Errorf("levels (-want +got):\n%s", diff)
	}
	now = Levels{Breakers: []BreakerLevel{{Name: "b", State: "isolated"}}, PolicyHash: "def"}
	want = []string{
		`circuit_breaker_calls_total{name="b",outcome="failure"} 0`,
		`circuit_breaker_calls_total{name="b",outcome="success"} 0`,
		`circuit_breaker_slow_calls_total{name="b"} 0`,
		`circuit_breaker_state{name="b",state="closed"} 0`,
		`circuit_breaker_state{name="b",state="half-open"} 0`,
		`circuit_breaker_state{name="b",state="isolated"} 1`,
		`circuit_breaker_state{name="b",state="open"} 0`,
		`config_info{hash="def"} 1`,
	}
	if diff := cmp.Diff(want, scrape(t, m, names...)); diff != "" {
		t.Errorf("levels, once they have changed (-want +got):\n%s", diff)
	}
}

// Endpoints come and go as long as the process lives.
func TestABreakerThatIsGoneHasNoSeries(t *testing.T) {
	m := New(BuildInfo{})
	opened := exchange.Event{Kind: exchange.CircuitBreaker, Name: "gone", From: "closed", To: "open"}
	_ = m.Event(opened)
	m.Levels(func() Levels { return Levels{Breakers: []BreakerLevel{{Name: "b", State: "closed"}}} })
	for n, want := range []int{1 + len(ways), len(ways), len(ways)} { // it may just have come
		if got := scrape(t, m, "circuit_breaker_transitions_total"); len(got) != want {
			t.Errorf("scrape %d: %v, want %d series", n, got, want)
		}
	}
	_ = m.Event(opened)
	if got := scrape(t, m, "circuit_breaker_transitions_total"); len(got) != 1+len(ways) {
		t.Errorf("when it is back: %v, want its series", got)
	}
}

func TestTransitionsBeginAtZero(t *testing.T) {
	m := New(BuildInfo{})
	m.Levels(func() Levels { return Levels{Breakers: []BreakerLevel{{Name: "b", State: "closed"}}} })
	transitions := func() []string { return scrape(t, m, "circuit_breaker_transitions_total") }
	want := []string{
		`circuit_breaker_transitions_total{from="closed",name="b",to="open"} 0`,
		`circuit_breaker_transitions_total{from="half-open",name="b",to="closed"} 0`,
		`circuit_breaker_transitions_total{from="half-open",name="b",to="open"} 0`,
		`circuit_breaker_transitions_total{from="open",name="b",to="half-open"} 0`,
	}
	if diff := cmp.Diff(want, transitions()); diff != "" {
		t.Errorf("before any (-want +got):\n%s", diff)
	}
	for _, e := range []exchange.Event{
		{Kind: exchange.CircuitBreaker, Name: "b", From: "closed", To: "open"},
		{Kind: exchange.CircuitBreaker, Name: "b", From: "closed", To: "open", Shadow: true},
		{Kind: exchange.Fault, Name: "b", From: "closed", To: "open"},
		{Kind: "reload", Name: "b"},
	} {
		if err := m.Event(e); err != nil {
			t.Errorf("Event(%v) = %v, want nil", e, err)
		}
	}
	want = []string{`circuit_breaker_transitions_total{from="closed",name="b",to="open"} 1`}
	if diff := cmp.Diff(want, nonzero(transitions())); diff != "" {
		t.Errorf("after one (-want +got):\n%s", diff)
	}
}

func TestReloaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := New(BuildInfo{})
		start := time.Now().Unix()
		for _, step := range []struct {
			ok          bool
			success, at string
		}{
			{true, "1", fmt.Sprintf("%.9e", float64(start+60))},
			{false, "0", fmt.Sprintf("%.9e", float64(start+60))},
			{true, "1", fmt.Sprintf("%.9e", float64(start+180))},
		} {
			time.Sleep(time.Minute)
			m.Reloaded(step.ok)
			if got := testutil.ToFloat64(m.reloadOK); fmt.Sprint(got) != step.success {
				t.Errorf("after Reloaded(%t) success = %v, want %s", step.ok, got, step.success)
			}
			if got := fmt.Sprintf("%.9e", testutil.ToFloat64(m.reloadTime)); got != step.at {
				t.Errorf("after Reloaded(%t) time = %s, want %s", step.ok, got, step.at)
			}
		}
	})
}

func TestNamesAreGoodPractice(t *testing.T) {
	m := busy(t)
	problems, err := testutil.GatherAndLint(m.registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, namespace+"_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

// busy returns Metrics in which every metric has a series.
func busy(t *testing.T) *Metrics {
	m := New(BuildInfo{Version: "v1.2.3", Revision: "abc", GoVersion: "go1.26"})
	m.Routes([]string{"orders"})
	m.Levels(func() Levels {
		return Levels{
			PolicyHash: "0a1b2c",
			Breakers:   []BreakerLevel{{Name: "b", State: "closed"}},
			Faults:     []FaultLevel{{"chaos", true}},
			Budgets:    []BudgetLevel{{"orders", 5}},
			KeySets:    []KeySetLevel{{"https://id.example.com/", time.Unix(1, 0)}},
			Limits:     []LimitLevel{{"adaptive@orders", 14, 12, 3, .02, map[string]uint64{"normal": 2}}},
			Stores:     []StoreLevel{{Name: "shared", Available: true}},

			Certificates: []CertificateLevel{{"data", "", "certFile", time.Unix(1, 0)}},
			Upstreams:    []UpstreamLevel{{"orders", false, []EndpointLevel{{"127.0.0.1:3000", "healthy", 1, 0, 2, 1}}}},

			LogDropped:   new(uint64),
			AuditDropped: new(uint64),
			SpansDropped: map[string]int64{"queue_full": 1},
		}
	})
	m.Reloaded(true)
	r := &exchange.Record{Route: "orders", Method: "GET", Status: 200}
	r.Note(exchange.Decision{Kind: exchange.Retry, Policy: "safe", Outcome: exchange.Act, Reason: "503"})
	r.Note(exchange.Decision{Kind: exchange.Retry, Policy: "safe", Outcome: exchange.Pass, Reason: exchange.HedgeWon})
	r.Note(exchange.Decision{Kind: exchange.Retry, Policy: "safe", Outcome: exchange.Broken, Reason: exchange.BodyNotReplayable})
	r.Note(exchange.Decision{Kind: exchange.Fault, Policy: "chaos", Outcome: exchange.Act, Reason: exchange.FaultAbort})
	r.Note(exchange.Decision{Kind: exchange.Authz, Policy: "rbac", Outcome: exchange.Pass, Rule: "readers"})
	send(m, r, exchange.Attempt{Upstream: "orders", Status: 200})
	m.End(m.Begin(t.Context(), r), r)
	return m
}

func TestHandlerSpeaksOpenMetrics(t *testing.T) {
	server := httptest.NewServer(busy(t).Handler())
	defer server.Close()
	for accept, want := range map[string]string{
		"": "text/plain",
		"application/openmetrics-text;version=1.0.0": "application/openmetrics-text",
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", accept)
		resp, err := server.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if got := resp.Header.Get("Content-Type"); resp.StatusCode != 200 || !strings.HasPrefix(got, want) {
			t.Errorf("asked for %q: %d %s, want 200 %s", accept, resp.StatusCode, got, want)
		}
		for _, series := range []string{
			`sidecar_build_info{goversion="go1.26",revision="abc",version="v1.2.3"} 1`,
			"go_goroutines ", "go_gc_heap_live_bytes ", "process_start_time_seconds ", "go_build_info{",
		} {
			if !strings.Contains(string(body), series) {
				t.Errorf("asked for %q: no %s in the answer", accept, series)
			}
		}
	}
}

// Requests, scrapes and reloads meet without a race, and no request is lost
// on a route that stays.
func TestConcurrentUse(t *testing.T) {
	m := busy(t)
	const workers, each = 4, 50
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i := range each {
				r := &exchange.Record{Route: []string{"orders", "gone"}[i%2], Method: "PUT", Status: 200 + i%3}
				send(m, r, exchange.Attempt{Upstream: "orders", Status: 200})
				m.End(m.Begin(t.Context(), r), r)
			}
		})
	}
	for range 10 {
		m.Routes([]string{"orders", "gone"})
		scrape(t, m)
		m.Routes([]string{"orders"})
	}
	wg.Wait()
	m.settle() // as a scrape does
	total := 0.0
	for status := range 3 {
		total += testutil.ToFloat64(m.vectors.requests.WithLabelValues("orders", "PUT", fmt.Sprint(200+status)))
	}
	if want := float64(workers * each / 2); total != want {
		t.Errorf("%v requests, want %v", total, want)
	}
}
