package admin

import (
	"strings"
	"testing"

	"sidecar/internal/exchange"
)

func TestADisabledFaultCannotBeSwitchedOn(t *testing.T) {
	h := newHouse(t)
	h.apply(t, strings.Replace(shop, "chaos: {", "chaos: {mode: disabled, ", 1))
	if a := ask(t, h.Handler(), "PUT /faults/chaos", `{"percent": 10}`); a.status != 409 || !strings.Contains(a.body, "disabled") {
		t.Errorf("PUT: %d %s, want 409 and why", a.status, a.body)
	}
	if a := ask(t, h.Handler(), "GET /faults/chaos", ""); a.status != 200 || a.doc["active"] != false {
		t.Errorf("GET: %d %s, want it off", a.status, a.body)
	}
	if told := h.told(); told != nil {
		t.Errorf("events = %q, want none", told)
	}
}

// It refuses nobody, so its state says nothing of how the sidecar fares.
func TestAnOpenBreakerInShadowDegradesNothing(t *testing.T) {
	h := newHouse(t)
	h.apply(t, strings.Replace(shop, "standard: {}", "standard: {mode: shadow}", 1))
	h.health.Started()
	b, ok := h.Proxy.Snapshot().Breaker("standard@app")
	if !ok {
		t.Fatal("there is no breaker standard@app")
	}
	if err := b.Force("open", exchange.Who{Name: "test"}); err != nil {
		t.Fatal(err)
	}
	wantHealth(t, Telemetry(h.health, noMetrics), Healthy, 200, 200, nil)
	if a := ask(t, h.Handler(), "GET /breakers/standard@app", ""); a.doc["shadow"] != true || a.doc["state"] != "open" {
		t.Errorf("GET: %s, want an open breaker in shadow", a.body)
	}
}
