package admin

import (
	"slices"
	"strings"
	"testing"

	"sidecar/internal/exchange"
)

// pair is shop with two endpoints, of which nobody listens.
var pair = strings.Replace(shop, `endpoints: [{url: "http://127.0.0.1:1"}]`,
	`endpoints: [{url: "http://127.0.0.1:1"}, {url: "http://[::1]:1", weight: 3}]`, 1)

func TestUpstreams(t *testing.T) {
	h := newHouse(t)
	h.apply(t, pair)
	admin := h.Handler()
	const v4, v6 = "/upstreams/app/endpoints/127.0.0.1:1", "/upstreams/app/endpoints/[::1]:1"
	tests := []struct {
		line, body string
		states     string // of the two
		told       []string
	}{
		{"GET /upstreams/app", "", "healthy healthy", nil},
		{"PUT " + v4, `{"drain": true}`, "draining healthy", []string{"127.0.0.7: upstream app/127.0.0.1:1: healthy -> draining"}},
		{"PUT " + v4, `{"drain": true}`, "draining healthy", nil}, // again is no change
		{"PUT " + v4, `{"drain": false}`, "healthy healthy", []string{"127.0.0.7: upstream app/127.0.0.1:1: draining -> healthy"}},
		{"PUT " + v6, `{"drain": true}`, "healthy draining", []string{"127.0.0.7: upstream app/[::1]:1: healthy -> draining"}},
	}
	for _, tt := range tests {
		a := ask(t, admin, tt.line, tt.body)
		if got := statesOf(a.doc); a.status != 200 || got != tt.states || a.doc["name"] != "app" {
			t.Errorf("%s %s: %d %v, want 200 and %s", tt.line, tt.body, a.status, a.doc, tt.states)
		}
		if got := h.told(); !slices.Equal(got, tt.told) {
			t.Errorf("%s %s tells %q, want %q", tt.line, tt.body, got, tt.told)
		}
	}
	list := ask(t, admin, "GET /upstreams", "").doc["upstreams"].([]any)
	if len(list) != 1 || statesOf(list[0].(map[string]any)) != "healthy draining" {
		t.Errorf("GET /upstreams = %v", list)
	}

	h.apply(t, pair+"# another line\n")
	if got := statesOf(ask(t, admin, "GET /upstreams/app", "").doc); got != "healthy draining" {
		t.Errorf("after a reload that changes nothing of it: %s, want healthy draining", got)
	}
}

func statesOf(doc map[string]any) string {
	var all []string
	endpoints, _ := doc["endpoints"].([]any)
	for _, e := range endpoints {
		all = append(all, e.(map[string]any)["state"].(string))
	}
	return strings.Join(all, " ")
}

func TestWhatCannotBeDrained(t *testing.T) {
	h := newHouse(t)
	h.apply(t, pair)
	admin := h.Handler()
	ask(t, admin, "PUT /upstreams/app/endpoints/127.0.0.1:1", `{"drain": true}`)
	tests := []struct {
		line, body string
		status     int
		detail     string
	}{
		{"GET /upstreams/other", "", 404, `no route goes to an upstream "other"`},
		{"PUT /upstreams/other/endpoints/127.0.0.1:1", `{"drain": true}`, 404, `no route goes to an upstream "other"`},
		{"PUT /upstreams/app/endpoints/127.0.0.1:2", `{"drain": true}`, 404, `upstream "app" has no endpoint "127.0.0.1:2"`},
		{"PUT /upstreams/app/endpoints/[::1]:1", `{"drain": true}`, 409, "is the last one that works and is not drained"},
		{"PUT /upstreams/app/endpoints/[::1]:1", `{"drain": "yes"}`, 400, "drain: must be true or false"},
		{"PUT /upstreams/app/endpoints/[::1]:1", `{}`, 400, "drain must be true or false"},
		{"PUT /upstreams/app/endpoints/[::1]:1", "", 400, "drain must be true or false"},
		{"PUT /upstreams/app/endpoints/[::1]:1", `{"drian": true}`, 400, "drian"},
		{"DELETE /upstreams/app/endpoints/[::1]:1", "", 405, "the method must be one of"},
	}
	for _, tt := range tests {
		if a := ask(t, admin, tt.line, tt.body); a.status != tt.status || !strings.Contains(a.detail(), tt.detail) {
			t.Errorf("%s %s: %d %q, want %d %q", tt.line, tt.body, a.status, a.detail(), tt.status, tt.detail)
		}
	}
	h.object = func(exchange.Event) error { return exchange.ErrUnheard }
	if a := ask(t, admin, "PUT /upstreams/app/endpoints/127.0.0.1:1", `{"drain": false}`); a.status != 503 {
		t.Errorf("a drain that is not audited: %d, want 503", a.status)
	}
	if got := statesOf(ask(t, admin, "GET /upstreams/app", "").doc); got != "draining healthy" {
		t.Errorf("states = %s, want draining healthy as before", got)
	}
}

// An upstream of which nothing works degrades, and keeps nobody out.
func TestHealthOfEndpoints(t *testing.T) {
	h := newHouse(t)
	h.health.Started()
	alarm := make(chan struct{})
	h.hear = func(e exchange.Event) {
		if e.To == "panic" {
			close(alarm)
		}
	}
	h.apply(t, strings.Replace(shop, `127.0.0.1:1"}]`, `127.0.0.1:1"}], health: {}`, 1))
	<-alarm
	wantHealth(t, Telemetry(h.health, noMetrics), Degraded, 200, 200, []string{"no endpoint of upstream app works; all are called"})
}
