package admin

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sidecar/internal/authz"
	"sidecar/internal/exchange"
	"sidecar/internal/proxy"
)

var noMetrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "up 1\n") })

func TestHealth(t *testing.T) {
	force := func(name, state string) func(*house) {
		return func(h *house) {
			b, ok := h.Proxy.Snapshot().Breaker(name)
			if !ok {
				panic("no breaker " + name)
			}
			if err := b.Force(state, exchange.Who{Name: "test"}); err != nil {
				panic(err)
			}
		}
	}
	started := func(h *house) { h.health.Started() }
	tests := []struct {
		name    string
		do      []func(*house)
		health  string
		code    int
		ready   int
		reasons []string
	}{
		{"no listener serves yet", nil, Unhealthy, 503, 503, []string{"starting"}},
		{"all is well", []func(*house){started}, Healthy, 200, 200, nil},
		{
			"an open breaker degrades and no more",
			[]func(*house){started, force("standard@app", "open")},
			Degraded, 200, 200,
			[]string{"circuit breaker standard@app is open"},
		},
		{
			"each open breaker is named",
			[]func(*house){started, force("standard@app", "open"), force("private/circuitBreaker@app", "open")},
			Degraded, 200, 200,
			[]string{"circuit breaker private/circuitBreaker@app is open", "circuit breaker standard@app is open"},
		},
		{"a breaker that is held closed is well", []func(*house){started, force("standard@app", "closed")}, Healthy, 200, 200, nil},
		{
			"a breaker that is closed again is well",
			[]func(*house){started, force("standard@app", "open"), force("standard@app", "auto")},
			Healthy, 200, 200, nil,
		},
		{
			"a failed reload degrades, and does not say what is in the file",
			[]func(*house){started, func(h *house) { h.health.Reloaded(errors.New(secret)) }},
			Degraded, 200, 200,
			[]string{"the last reload failed; the policy before it holds"},
		},
		{
			"a good reload after it heals",
			[]func(*house){started, func(h *house) { h.health.Reloaded(errors.New("bad")); h.health.Reloaded(nil) }},
			Healthy, 200, 200, nil,
		},
		{
			"draining is not ready",
			[]func(*house){started, func(h *house) { h.health.Draining() }},
			Degraded, 200, 503,
			[]string{"draining"},
		},
		{
			"a broken listener is unhealthy",
			[]func(*house){started, func(h *house) { h.health.Broken("the data listener has stopped") }},
			Unhealthy, 503, 503,
			[]string{"the data listener has stopped"},
		},
		{
			"the worst comes first and decides",
			[]func(*house){
				started, force("standard@app", "open"),
				func(h *house) { h.health.Reloaded(errors.New("bad")) },
				func(h *house) { h.health.Draining() },
				func(h *house) { h.health.Broken("the data listener has stopped") },
			},
			Unhealthy, 503, 503,
			[]string{
				"the data listener has stopped", "draining", "the last reload failed; the policy before it holds",
				"circuit breaker standard@app is open",
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newShop(t)
			for _, do := range tt.do {
				do(h)
			}
			wantHealth(t, Telemetry(h.health, noMetrics), tt.health, tt.code, tt.ready, tt.reasons)
		})
	}
}

func wantHealth(t *testing.T, h http.Handler, health string, code, ready int, reasons []string) {
	t.Helper()
	a := ask(t, h, "GET /healthz", "")
	if a.status != code || a.doc["status"] != health {
		t.Errorf("/healthz: %d %v, want %d %s", a.status, a.doc["status"], code, health)
	}
	at, err := time.Parse(time.RFC3339, fmt.Sprint(a.doc["timestamp"]))
	if err != nil || at.Location() != time.UTC {
		t.Errorf("/healthz: timestamp %v, want the time in UTC", a.doc["timestamp"])
	}
	want := []any{}
	for _, r := range reasons {
		want = append(want, r)
	}
	if got := a.doc["reasons"]; !reflect.DeepEqual(got, want) {
		t.Errorf("/healthz: reasons %v, want %v", got, want)
	}
	a = ask(t, h, "GET /readyz", "")
	if a.status != ready {
		t.Errorf("/readyz: %d, want %d", a.status, ready)
	}
	if got := a.doc["reasons"]; ready == 503 && !reflect.DeepEqual(got, want) {
		t.Errorf("/readyz: reasons %v, want %v", got, want)
	}
	// Whatever happens: a restart would heal nothing.
	if a := ask(t, h, "GET /livez", ""); a.status != 200 {
		t.Errorf("/livez: %d, want 200", a.status)
	}
}

func TestHealthWithoutPolicy(t *testing.T) {
	h := newHouse(t)
	telemetry := Telemetry(h.health, noMetrics)
	wantHealth(t, telemetry, Unhealthy, 503, 503, []string{"starting"})
	h.health.Started()
	wantHealth(t, telemetry, Unhealthy, 503, 503, []string{"starting"})
	if err := h.Proxy.Apply(parse(t, shop)); err != nil {
		t.Fatal(err)
	}
	wantHealth(t, telemetry, Healthy, 200, 200, nil)
}

// Others may have a word on how the process fares, for as long as it holds.
func TestHealthOfWhatOthersDoubt(t *testing.T) {
	var why []string
	h := newShop(t)
	h.health = NewHealth(h.Proxy, func() []string { return why })
	h.health.Started()
	telemetry := Telemetry(h.health, noMetrics)
	wantHealth(t, telemetry, Healthy, 200, 200, nil)
	why = []string{"the audit file cannot be written: it is full"}
	wantHealth(t, telemetry, Degraded, 200, 200, why)
	why = nil
	wantHealth(t, telemetry, Healthy, 200, 200, nil)
}

// A breaker whose pause is over moves on when health asks it, and tells so;
// who hears it may well tell health in turn.
func TestHealthOfBreakerThatMovesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var health *Health
		p := proxy.New(proxy.Options{
			Observers: exchange.Observers{eventsOnly{hear: func(exchange.Event) error {
				health.Reloaded(nil)
				return nil
			}}},
			Transport: exchange.RoundTripFunc(func(*http.Request) (*http.Response, error) {
				return nil, &exchange.Failure{Kind: exchange.FailedConnect, Err: errors.New("nobody there")}
			}),
			Random: func() float64 { return 0.5 },
		})
		defer p.Close()
		health = NewHealth(p)
		health.Started()
		if err := p.Apply(parse(t, strings.Replace(shop, "standard: {}", "standard: {consecutiveFailures: 1}", 1))); err != nil {
			t.Fatal(err)
		}
		telemetry := Telemetry(health, noMetrics)
		p.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "http://shop.example/", nil))
		wantHealth(t, telemetry, Degraded, 200, 200, []string{"circuit breaker standard@app is open"})
		time.Sleep(5 * time.Second)
		wantHealth(t, telemetry, Degraded, 200, 200, []string{"circuit breaker standard@app is half-open"})
	})
}

// keysFrom returns shop with an issuer whose keys are at url.
func keysFrom(url string) string {
	return strings.Replace(shop, "secretFile: key", `jwksURL: "`+url+`", jwks: {refresh: 10s, staleIfError: 0s}`, 1)
}

// An issuer that does not answer keeps nobody out for ever.
func TestReadinessWaitsForKeysOnlyForAWhile(t *testing.T) {
	hang := make(chan struct{})
	issuer := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	defer issuer.Close()
	defer close(hang)
	h := newHouse(t)
	if err := h.Proxy.Apply(parse(t, keysFrom(issuer.URL))); err != nil {
		t.Fatal(err)
	}
	telemetry := Telemetry(h.health, noMetrics)
	reasons := []string{"the keys of issuer sidecar were not fetched yet"}
	wantHealth(t, telemetry, Unhealthy, 503, 503, append([]string{"starting"}, reasons...))
	h.health.Started()
	wantHealth(t, telemetry, Degraded, 200, 503, reasons)
	h.health.started = h.health.started.Add(-grace)
	wantHealth(t, telemetry, Degraded, 200, 200, reasons)
	if a := ask(t, telemetry, "GET /readyz", ""); !reflect.DeepEqual(a.doc["reasons"], []any{reasons[0]}) {
		t.Errorf("/readyz: reasons %v, want %v though it is ready", a.doc["reasons"], reasons)
	}
}

// A shadow refuses nobody for want of keys.
func TestReadinessWaitsForNoKeysOfAShadow(t *testing.T) {
	hang := make(chan struct{})
	issuer := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	defer issuer.Close()
	defer close(hang)
	// Two policies that believe one issuer, and share its keys.
	text := func(users, others string) string {
		believe := `issuers: [{issuer: sidecar, jwksURL: "` + issuer.URL + `"}]}`
		return strings.NewReplacer(
			"users: {issuers: [{issuer: sidecar, secretFile: key}]}",
			"users: {mode: "+users+", "+believe+", others: {mode: "+others+", clockSkew: 10s, "+believe,
			"use: {circuitBreaker: standard,", "use: {authn: others, circuitBreaker: standard,",
		).Replace(shop)
	}
	tests := []struct {
		users, others string
		needed        bool
	}{
		{"shadow", "shadow", false},
		{"enforce", "shadow", true},
		{"shadow", "enforce", true},
		{"shadow", "disabled", false},
	}
	for _, tt := range tests {
		t.Run(tt.users+" and "+tt.others, func(t *testing.T) {
			h := newHouse(t)
			h.apply(t, text(tt.users, tt.others))
			h.health.Started()
			s := h.Proxy.Snapshot()
			sets := s.KeySets()
			if len(sets) != 1 || s.Needs(sets[0]) != tt.needed {
				t.Errorf("%d key sets, want 1, and it needed: %t", len(sets), tt.needed)
			}
			if tt.needed {
				wantHealth(t, Telemetry(h.health, noMetrics), Degraded, 200, 503, []string{"the keys of issuer sidecar were not fetched yet"})
			} else {
				wantHealth(t, Telemetry(h.health, noMetrics), Healthy, 200, 200, nil)
			}
		})
	}
}

func TestReadinessDoesNotWaitForKeysThatAreThere(t *testing.T) {
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"keys":[{"kty":"EC","crv":"P-256",`+
			`"x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}`) // RFC 7515 appendix A.3
	}))
	defer issuer.Close()
	h := newHouse(t)
	if err := h.Proxy.Apply(parse(t, keysFrom(issuer.URL))); err != nil {
		t.Fatal(err)
	}
	h.health.Started()
	for deadline := time.Now().Add(20 * time.Second); h.Proxy.Snapshot().KeySets()[0].Status().State != authz.KeysFresh; {
		if time.Now().After(deadline) {
			t.Fatal("the keys do not come")
		}
		runtime.Gosched()
	}
	wantHealth(t, Telemetry(h.health, noMetrics), Healthy, 200, 200, nil)
}

func TestDoubtfulKeysAreTold(t *testing.T) {
	at := time.Date(2026, 5, 4, 3, 2, 1, 0, time.FixedZone("", 3600))
	for state, want := range map[string]string{
		authz.KeysWaiting: "the keys of issuer me were not fetched yet",
		authz.KeysStale:   "the keys of issuer me are stale: last fetched at 2026-05-04T02:02:01Z",
		authz.KeysExpired: "the keys of issuer me are expired: last fetched at 2026-05-04T02:02:01Z",
	} {
		if got := withoutKeysOf(authz.KeySetStatus{Issuer: "me", State: state, LastSuccess: at}); got != want {
			t.Errorf("%s keys: %q, want %q", state, got, want)
		}
	}
}

func TestHealthUnderConcurrentUse(t *testing.T) {
	h := newHouse(t)
	telemetry, admin := Telemetry(h.health, noMetrics), h.Handler()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for _, path := range []string{"/healthz", "/readyz", "/livez"} {
				ask(t, telemetry, "GET "+path, "")
			}
			ask(t, admin, "GET /breakers", "")
			ask(t, admin, "POST /breakers/standard@app", `{"state": "open"}`)
			ask(t, admin, "PUT /faults/chaos", "")
		})
	}
	wg.Go(func() {
		h.health.Started()
		if err := h.Proxy.Apply(parse(t, shop)); err != nil {
			t.Error(err)
		}
		h.health.Reloaded(nil)
		h.health.Draining()
		h.health.Broken("the data listener has stopped")
	})
	wg.Wait()
}

func TestTelemetryMap(t *testing.T) {
	h := newShop(t)
	telemetry := Telemetry(h.health, noMetrics)
	w := httptest.NewRecorder()
	telemetry.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 || w.Body.String() != "up 1\n" {
		t.Errorf("GET /metrics: %d %q, want what the metrics say", w.Code, w.Body)
	}
	tests := []struct {
		line   string
		status int
	}{
		{"POST /healthz", 405},
		{"DELETE /metrics", 405},
		{"GET /health", 404},
		{"GET /", 404},
		{"GET /breakers", 404},     // people change nothing here,
		{"POST /-/reload", 404},    // and machines neither
		{"PUT /faults/chaos", 404}, // this port is for all to see
	}
	for _, tt := range tests {
		if a := ask(t, telemetry, tt.line, ""); a.status != tt.status {
			t.Errorf("%s: %d, want %d", tt.line, a.status, tt.status)
		}
	}
	// A scraper names the pod, by whatever name it has.
	if a := ask(t, telemetry, "GET /livez", "", func(r *http.Request) { r.Host = "pod.example" }); a.status != 200 {
		t.Errorf("GET /livez of another host: %d, want 200", a.status)
	}
}

// HEAD is GET without the body; the length stays.
func TestHead(t *testing.T) {
	h := newShop(t)
	h.health.Started()
	s := httptest.NewServer(Telemetry(h.health, noMetrics))
	defer s.Close()
	client := s.Client()
	defer client.CloseIdleConnections()
	resp, err := client.Head(s.URL + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != 200 || resp.ContentLength <= 0 || len(body) != 0 {
		t.Errorf("HEAD /readyz: %d, length %d, body %q, want 200, a length and no body", resp.StatusCode, resp.ContentLength, body)
	}
}
