package admin

import (
	"reflect"
	"strings"
	"testing"
)

func TestLimits(t *testing.T) {
	h := newHouse(t)
	h.apply(t, strings.NewReplacer(
		"  circuitBreaker:", "  concurrency: {small: {max: 7, priority: {claim: tier, shedFirst: [free]}}}\n  circuitBreaker:",
		"use: {circuitBreaker: standard,", "use: {concurrency: small, circuitBreaker: standard,",
		"circuitBreaker: {minRequests: 7}}", "concurrency: {algorithm: gradient, mode: shadow}}",
	).Replace(shop))
	got := ask(t, h.Handler(), "GET /concurrency", "").doc
	want := map[string]any{"limits": []any{
		map[string]any{
			"name": "private/concurrency@app", "algorithm": "gradient", "shadow": true, "limit": 20.0,
			"inFlight": 0.0, "queued": 0.0, "shed": map[string]any{"normal": 0.0},
		},
		map[string]any{
			"name": "small@app", "algorithm": "static", "limit": 7.0,
			"inFlight": 0.0, "queued": 0.0, "shed": map[string]any{"normal": 0.0, "free": 0.0},
		},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("GET /concurrency: %v, want %v", got, want)
	}
}
