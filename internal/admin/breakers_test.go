package admin

import (
	"net/http/httptest"
	"reflect"
	"slices"
	"testing"
)

// endpoints is a policy whose breaker is one for each of two dead endpoints,
// with another upstream to stand in for them.
const endpoints = `version: v1
upstreams:
  app: {endpoints: [{url: "http://127.0.0.1:1"}, {url: "http://127.0.0.1:2"}], retryBudget: {percent: 0, minPerSecond: 0}}
  spare: {endpoints: [{url: "http://127.0.0.1:3"}]}
policies:
  circuitBreaker: {each: {scope: endpoint, consecutiveFailures: 1, fallback: {upstream: spare}}}
routes: [{name: all, upstream: app, use: {circuitBreaker: each, retry: none}}]
`

func TestBreakersOfEndpoints(t *testing.T) {
	h := newShop(t)
	h.apply(t, endpoints)
	admin := h.Handler()
	var names []any
	for _, b := range list(t, h, "GET /breakers", "breakers") {
		names = append(names, b["name"])
	}
	want := []any{"each@app/127.0.0.1:1", "each@app/127.0.0.1:2", "each@spare/127.0.0.1:3"}
	if !slices.Equal(names, want) {
		t.Errorf("GET /breakers names %v, want %v", names, want)
	}
	for _, p := range list(t, h, "GET /policies", "policies") {
		if p["name"] == "each" && !reflect.DeepEqual(p["instances"], want) {
			t.Errorf("GET /policies: instances %v, want %v", p["instances"], want)
		}
	}
	a := ask(t, admin, "POST /breakers/each@app/127.0.0.1:2", `{"state": "open"}`)
	if a.status != 200 || a.doc["state"] != "open" || a.doc["name"] != "each@app/127.0.0.1:2" {
		t.Errorf("POST: %d %v, want that one open", a.status, a.doc)
	}
	if a := ask(t, admin, "GET /breakers/each@app", ""); a.status != 404 {
		t.Errorf("GET /breakers/each@app: %d, want 404", a.status)
	}

	h.Proxy.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	trip, _ := ask(t, admin, "GET /breakers/each@app/127.0.0.1:1", "").doc["lastTrip"].(map[string]any)
	if trip["why"] != "1 failures in a row" || trip["failures"] != 1.0 || trip["requests"] != 1.0 || trip["time"] == nil {
		t.Errorf("last trip %v, want its numbers", trip)
	}
}

func TestTheLegOfAFallbackIsTold(t *testing.T) {
	h := newShop(t)
	h.apply(t, endpoints)
	route := list(t, h, "GET /routes", "routes")[0]
	var leg []string
	stages, _ := route["fallback"].([]any)
	for _, s := range stages {
		stage := s.(map[string]any)
		name, _ := stage["policy"].(string)
		leg = append(leg, stage["kind"].(string)+"/"+name)
	}
	if want := []string{"circuitBreaker/each@spare", "circuitBreaker/each@spare", "attempt/", "upstream/spare"}; !slices.Equal(leg, want) {
		t.Errorf("GET /routes: fallback %v, want %v", leg, want)
	}
	h.apply(t, shop)
	if route := list(t, h, "GET /routes", "routes")[0]; route["fallback"] != nil {
		t.Errorf("a route without one has the fallback %v", route["fallback"])
	}
}
