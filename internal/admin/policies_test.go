package admin

import (
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"sidecar/internal/policy"
)

// list returns what GET line answers under key.
func list(t *testing.T, h *house, line, key string) []map[string]any {
	t.Helper()
	a := ask(t, h.Handler(), line, "")
	if a.status != 200 {
		t.Fatalf("%s: %d %s, want 200", line, a.status, a.body)
	}
	var all []map[string]any
	for _, item := range a.doc[key].([]any) {
		all = append(all, item.(map[string]any))
	}
	return all
}

func TestRoutes(t *testing.T) {
	h := newShop(t)
	routes := list(t, h, "GET /routes", "routes")
	if len(routes) != 2 {
		t.Fatalf("GET /routes: %d routes, want 2", len(routes))
	}
	for key, want := range map[string]any{
		"name": "private", "line": 9.0, "upstream": "app", "timeout": "5s", "streamIdleTimeout": "1m0s", "maxDuration": "0s",
		"match": map[string]any{"pathPrefix": "/private"}, "upgrade": []any{"websocket"},
	} {
		if got := routes[0][key]; !reflect.DeepEqual(got, want) {
			t.Errorf("%s = %v, want %v", key, got, want)
		}
	}
	// The chain is the one that runs, stage by stage.
	for i, r := range h.Proxy.Snapshot().File().Routes {
		chain := h.Proxy.Snapshot().Chain(r.Name)
		told := routes[i]["chain"].([]any)
		if len(told) != len(chain) {
			t.Fatalf("%s: %d stages are told, want %d", r.Name, len(told), len(chain))
		}
		for j, stage := range chain {
			got := told[j].(map[string]any)
			want := map[string]any{"kind": stage.Kind}
			if stage.Policy != "" {
				want["policy"] = stage.Policy
			}
			if stage.Line > 0 {
				want["line"] = float64(stage.Line)
			}
			if _, has := got["config"]; has != (stage.Config != nil) {
				t.Errorf("%s: %s tells its config: %v", r.Name, stage, has)
			}
			delete(got, "config")
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s: stage %d is told as %v, want %v", r.Name, j, got, want)
			}
		}
	}
	// Each with what holds in the end.
	stage := list(t, h, "GET /routes", "routes")[0]["chain"].([]any)[2].(map[string]any)
	if c, _ := stage["config"].(map[string]any); c["minRequests"] != 7.0 || c["window"] != "10s" {
		t.Errorf("the breaker of private is told as %v, want its minRequests and the default window", stage)
	}
}

func TestPolicies(t *testing.T) {
	h := newShop(t)
	h.apply(t, strings.Replace(shop, "fault: {chaos:", "retry: {idle: {}}\n  fault: {chaos:", 1))
	got := map[string]map[string]any{}
	var order []string
	for _, p := range list(t, h, "GET /policies", "policies") {
		name := p["kind"].(string) + " " + p["name"].(string)
		if p["config"] == nil {
			t.Errorf("%s has no config", name)
		}
		delete(p, "config")
		delete(p, "kind")
		delete(p, "name")
		got[name] = p
		order = append(order, name)
	}
	type object = map[string]any
	want := map[string]object{
		"authn users":                           {"line": 5.0, "routes": []any{"private"}},
		"circuitBreaker standard":               {"line": 6.0, "routes": []any{"all"}, "instances": []any{"standard@app"}},
		"retry idle":                            {"line": 7.0, "routes": []any{}},
		"fault chaos":                           {"line": 8.0, "routes": []any{"all"}},
		"validation default":                    {"routes": []any{"private", "all"}},
		"circuitBreaker private/circuitBreaker": {"line": 10.0, "routes": []any{"private"}, "instances": []any{"private/circuitBreaker@app"}},
		"retry default":                         {"routes": []any{"private", "all"}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("GET /policies:\n%v\nwant\n%v", got, want)
	}
	if want := []string{"authn users", "circuitBreaker standard", "retry idle", "fault chaos"}; !reflect.DeepEqual(order[:4], want) {
		t.Errorf("the named policies are told as %q, want %q", order[:4], want)
	}
}

func TestConfig(t *testing.T) {
	h := newShop(t)
	h.apply(t, guarded)
	a := ask(t, h.Handler(), "GET /config", "") // which looks for the secret, too
	s := h.Proxy.Snapshot()
	for key, want := range map[string]any{
		"file": "shop.yaml", "hash": s.File().Hash(), "applied": s.Applied().UTC().Format("2006-01-02T15:04:05.999999999Z07:00"),
	} {
		if a.doc[key] != want {
			t.Errorf("%s = %v, want %v", key, a.doc[key], want)
		}
	}
	config := a.doc["config"].(map[string]any)
	server := config["server"].(map[string]any)
	for key, want := range map[string]any{"adminToken": "${SECRET}", "admin": "127.0.0.1:9901", "line": 12.0} {
		if server[key] != want {
			t.Errorf("server.%s = %v, want %v", key, server[key], want)
		}
	}
	users := config["policies"].(map[string]any)["authn"].(map[string]any)["users"].(map[string]any)
	if got := users["issuers"].([]any)[0].(map[string]any)["secretFile"]; got != "key" || users["line"] != 5.0 {
		t.Errorf("authn users: %v, want the name of its file, and its line", users)
	}
}

// Who looks while a reload goes on sees one policy or the other.
func TestLooksDuringReloads(t *testing.T) {
	h := newShop(t)
	admin := h.Handler()
	var looks sync.WaitGroup
	var over atomic.Bool
	for _, line := range []string{"GET /routes", "GET /policies", "GET /config", "GET /decisions"} {
		looks.Go(func() {
			for !over.Load() {
				if a := ask(t, admin, line, ""); a.status != 200 {
					t.Errorf("%s: %d %s, want 200", line, a.status, a.body)
				}
			}
		})
	}
	for range 50 {
		h.apply(t, shop)
	}
	over.Store(true)
	looks.Wait()
}

// A policy without a file behind it is told as well.
func TestConfigOfNoFile(t *testing.T) {
	h := newHouse(t)
	f, err := policy.ForUpstream("http://127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Proxy.Apply(f); err != nil {
		t.Fatal(err)
	}
	if a := ask(t, h.Handler(), "GET /config", ""); a.status != 200 || a.doc["file"] != "--upstream" {
		t.Errorf("GET /config: %d %s, want that of --upstream", a.status, a.body)
	}
}
