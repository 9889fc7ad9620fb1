package admin

import (
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sidecar/internal/exchange"
	"sidecar/internal/policy"
)

func TestBreakers(t *testing.T) {
	h := newShop(t)
	admin := h.Handler()
	list := ask(t, admin, "GET /breakers", "")
	var names []any
	for _, b := range list.doc["breakers"].([]any) {
		names = append(names, b.(map[string]any)["name"])
	}
	if want := []any{"private/circuitBreaker@app", "standard@app"}; !reflect.DeepEqual(names, want) {
		t.Fatalf("GET /breakers names %v, want %v", names, want)
	}
	fresh := map[string]any{
		"name": "standard@app", "state": "closed", "forced": false,
		"requests": 0.0, "failures": 0.0, "slow": 0.0, "consecutiveFailures": 0.0, "probes": 0.0,
	}
	if got := ask(t, admin, "GET /breakers/standard@app", "").doc; !reflect.DeepEqual(got, fresh) {
		t.Errorf("GET /breakers/standard@app: %v, want %v", got, fresh)
	}

	const auto, inline = "/breakers/standard@app", "/breakers/private/circuitBreaker@app"
	tests := []struct {
		line, body string
		state      string
		forced     bool
		told       []string
	}{
		{"POST " + auto, `{"state": "open"}`, "open", true, []string{"127.0.0.7: circuitBreaker standard@app: closed -> open"}},
		{"POST " + auto, `{"state": "open"}`, "open", true, nil}, // again is no change
		{"GET " + auto, "", "open", true, nil},
		{"POST " + auto, `{"state": "closed"}`, "closed", true, []string{"127.0.0.7: circuitBreaker standard@app: open -> closed"}},
		{"POST " + auto, ` {"state": "auto"} `, "closed", false, []string{"127.0.0.7: circuitBreaker standard@app: closed -> closed"}},
		{"GET " + inline, "", "closed", false, nil},
		{"POST " + inline, `{"state": "open"}`, "open", true, []string{"127.0.0.7: circuitBreaker private/circuitBreaker@app: closed -> open"}},
		{"POST " + strings.Replace(inline, "e/c", "e%2Fc", 1), `{"state": "auto"}`, "closed", false, []string{"127.0.0.7: circuitBreaker private/circuitBreaker@app: open -> closed"}},
	}
	for _, tt := range tests {
		a := ask(t, admin, tt.line, tt.body)
		if a.status != 200 || a.doc["state"] != tt.state || a.doc["forced"] != tt.forced {
			t.Errorf("%s %s: %d %v, want 200, state %s, forced %v", tt.line, tt.body, a.status, a.doc, tt.state, tt.forced)
		}
		if got := h.told(); !slices.Equal(got, tt.told) {
			t.Errorf("%s %s tells %q, want %q", tt.line, tt.body, got, tt.told)
		}
	}
}

func TestFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newShop(t)
		admin := h.Handler()
		want := map[string]any{
			"name": "chaos", "active": false, "percent": 100.0, "abort": map[string]any{"status": 503.0}, "injected": 0.0,
		}
		check := func(line, body string, change map[string]any, told ...string) {
			t.Helper()
			for k, v := range change {
				if want[k] = v; v == nil {
					delete(want, k)
				}
			}
			if a := ask(t, admin, line, body); a.status != 200 || !reflect.DeepEqual(a.doc, want) {
				t.Errorf("%s %s: %d %v, want 200 %v", line, body, a.status, a.doc, want)
			}
			if got := h.told(); !slices.Equal(got, told) {
				t.Errorf("%s %s tells %q, want %q", line, body, got, told)
			}
		}
		until := func(d time.Duration) string { return time.Now().Add(d).Format(time.RFC3339Nano) }

		check("GET /faults/chaos", "", nil)
		check("PUT /faults/chaos", `{
			"percent": 30, "delay": {"fixed": "300ms", "jitter": "100ms"}, "abort": {"grpc": "UNAVAILABLE"},
			"when": {"methods": ["GET"], "headers": {"X-Drill": "*"}}, "duration": "5m"}`,
			map[string]any{
				"active": true, "percent": 30.0, "setBy": "127.0.0.7", "expiresAt": until(5 * time.Minute),
				"delay": map[string]any{"fixed": "300ms", "jitter": "100ms"}, "abort": map[string]any{"grpc": "UNAVAILABLE"},
				"when": map[string]any{"methods": []any{"GET"}, "headers": map[string]any{"X-Drill": "*"}},
			}, "127.0.0.7: fault chaos: off -> on")
		check("GET /faults/chaos", "", nil)
		// What is not said is as in the policy, not as it was said before.
		check("PUT /faults/chaos", "", map[string]any{
			"percent": 100.0, "delay": nil, "abort": map[string]any{"status": 503.0}, "when": nil, "expiresAt": until(10 * time.Minute),
		}, "127.0.0.7: fault chaos: on -> on")
		time.Sleep(10 * time.Minute)
		check("GET /faults/chaos", "", map[string]any{"active": false, "expiresAt": nil})
		check("PUT /faults/chaos", `{"abort": {"connection": "reset"}, "duration": "1s"}`, map[string]any{
			"active": true, "abort": map[string]any{"connection": "reset"}, "expiresAt": until(time.Second),
		}, "127.0.0.7: fault chaos: off -> on")
		check("DELETE /faults/chaos", "", map[string]any{
			"active": false, "abort": map[string]any{"status": 503.0}, "expiresAt": nil,
		}, "127.0.0.7: fault chaos: on -> off")
		check("DELETE /faults/chaos", "", nil) // again is no change

		list := ask(t, admin, "GET /faults", "")
		if got := list.doc["faults"]; !reflect.DeepEqual(got, []any{want}) {
			t.Errorf("GET /faults: %v, want a list of %v", got, want)
		}
	})
}

func TestBadChanges(t *testing.T) {
	large := strings.Repeat(" ", maxBody)
	const state, fault = "POST /breakers/standard@app", "PUT /faults/chaos"
	tests := []struct {
		name, line, body string
		status           int
		says             string
	}{
		{"no body", state, ``, 400, "state must be open, closed or auto"},
		{"an empty object", state, `{}`, 400, "state must be"},
		{"an unknown word", state, `{"state": "ajar"}`, 400, `got "ajar"`},
		{"an unknown field", state, `{"state": "open", "for": "5m"}`, 400, `"for"`},
		{"a wrong type", state, `{"state": 1}`, 400, "state: must be a string, got "},
		{"bad JSON", state, `{"state": open}`, 400, "not JSON at byte 11"},
		{"half of it", state, `{"state": "op`, 400, "ends within"},
		{"a list", state, `["open"]`, 400, "one JSON object"},
		{"a bare word", state, `"open"`, 400, "one JSON object"},
		{"null", state, `null`, 400, "one JSON object"},
		{"more than one", state, `{"state": "open"} {}`, 400, "holds more"},
		{"something behind it", state, `{"state": "open"}]`, 400, "holds more"},
		{"too large", state, `{"state": "` + large + `"}`, 413, "65536 bytes"},
		{"too large, by nothing", state, `{"state": "open"}` + large, 413, "65536 bytes"},

		{"an unknown field of a fault", fault, `{"percentage": 5}`, 400, `"percentage"`},
		{"an unknown field within", fault, `{"delay": {"fixed": "1s", "jiter": "1s"}}`, 400, `"jiter"`},
		{"a text for a number", fault, `{"percent": "5"}`, 400, "percent: must be a number, got a string"},
		{"a number for a duration", fault, `{"duration": 300}`, 400, "duration: must be a string, got a number"},
		{"a text for an object", fault, `{"delay": "300ms"}`, 400, "delay: must be an object, got a string"},
		{"a wrong type within", fault, `{"delay": {"fixed": true}}`, 400, "delay.fixed: must be a string, got true or false"},
		{"a broken status", fault, `{"abort": {"status": 503.5}}`, 400, "abort.status: must be a whole number, got 503.5"},
		{"a word for a list", fault, `{"when": {"methods": "GET"}}`, 400, "when.methods: must be a list, got a string"},
		{"a list for an object", fault, `{"when": {"headers": []}}`, 400, "when.headers: must be an object, got a list"},
		{"a fault that is a list", fault, `[]`, 400, "one JSON object"},
		{"a fault that is null", fault, `null`, 400, "one JSON object"},
		{"more than all", fault, `{"percent": 101}`, 400, "percent: must be 0 to 100, got 101"},
		{"no duration", fault, `{"duration": "soon"}`, 400, `duration: must be a duration such as 300ms or 5m, got "soon"`},
		{"longer than the policy allows", fault, `{"duration": "1h"}`, 400, "duration: must be 1s to the policy's maxDuration of 10m0s"},
		{"negative", fault, `{"delay": {"fixed": "-1s"}}`, 400, "delay.fixed: must be"},
		{"no gRPC status", fault, `{"abort": {"grpc": "BROKEN"}}`, 400, "abort.grpc: must be"},
		{"two aborts", fault, `{"abort": {"status": 503, "connection": "reset"}}`, 400, "abort: must be one of"},
		{"nothing to break", fault, `{"abort": {}}`, 400, "must have a delay, an abort, a body or byHeader"},
		{"no method", fault, `{"when": {"methods": ["get"]}}`, 400, "when.methods[0]: must be"},
		{"trailing data", fault, `{"percent": 5}{}`, 400, "holds more"},
		{"a large fault", fault, large + ` `, 413, "65536 bytes"},

		{"no such breaker", "GET /breakers/nobody", ``, 404, `no circuit breaker "nobody"`},
		{"no such breaker to force", "POST /breakers/nobody", `{"state": "open"}`, 404, `no circuit breaker "nobody"`},
		{"no such fault", "GET /faults/nobody", ``, 404, `no fault "nobody"`},
		{"no such fault to set", "PUT /faults/nobody", `{"percent": "5"}`, 404, `no fault "nobody"`},
		{"no such fault to end", "DELETE /faults/nobody", ``, 404, `no fault "nobody"`},
		{"no such path", "GET /nothing", ``, 404, `no "/nothing"`},
		{"no front page", "GET /", ``, 404, `no "/"`},
		{"breakers cannot be deleted", "DELETE /breakers/standard@app", ``, 405, "GET, HEAD, POST"},
		{"faults are PUT", "POST /faults/chaos", `{}`, 405, "DELETE, GET, HEAD, PUT"},
		{"a reload is no GET", "GET /-/reload", ``, 405, "POST"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newShop(t)
			a := ask(t, h.Handler(), tt.line, tt.body)
			if a.status != tt.status || !strings.Contains(a.detail(), tt.says) {
				t.Errorf("%s %.60s: %d %q, want %d with %q", tt.line, tt.body, a.status, a.detail(), tt.status, tt.says)
			}
			if a.status == 405 && a.header.Get("Allow") != tt.says {
				t.Errorf("%s: Allow: %q, want %q", tt.line, a.header.Get("Allow"), tt.says)
			}
			if told := h.told(); told != nil {
				t.Errorf("%s %.60s changed something: %q", tt.line, tt.body, told)
			}
		})
	}
}

// A policy without faults has a list of none.
func TestNoFaults(t *testing.T) {
	h := newShop(t)
	h.Faults.Sync(nil)
	if a := ask(t, h.Handler(), "GET /faults", ""); !reflect.DeepEqual(a.doc["faults"], []any{}) {
		t.Errorf("GET /faults: %s, want an empty list", a.body)
	}
}

func TestReload(t *testing.T) {
	_, badFile := policy.Parse("shop.yaml", []byte(strings.NewReplacer(
		"minRequests: 7", `minRequests: "${SECRET}"`, "maxDuration: 10m", "maxDurration: 10m",
	).Replace(shop)), options())
	var problems policy.Problems
	if !errors.As(badFile, &problems) || len(problems) != 2 {
		t.Fatalf("the bad file has the problems %v, want two", badFile)
	}
	tests := []struct {
		name   string
		change Change
		err    error
		status int
		want   map[string]any
	}{
		{
			"a good file",
			Change{Changed: []string{"routes"}, Reset: []string{"pool/app"}},
			nil, 200,
			map[string]any{"reloaded": true, "changed": []any{"routes"}, "reset": []any{"pool/app"}},
		},
		{
			"the same file",
			Change{},
			nil, 200,
			map[string]any{"reloaded": true, "changed": []any{}, "reset": []any{}},
		},
		{
			"a bad file is told line by line",
			Change{},
			fmt.Errorf("applying: %w", badFile), 422,
			map[string]any{"reloaded": false, "problems": []any{problems[0].String(), problems[1].String()}},
		},
		{
			"no file",
			Change{},
			errors.New("reading the policy: open shop.yaml: no such file"), 422,
			map[string]any{"reloaded": false, "problems": []any{"reading the policy: open shop.yaml: no such file"}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newShop(t)
			var whos []string
			h.reload = func(who exchange.Who) (Change, error) {
				whos = append(whos, who.String())
				return tt.change, tt.err
			}
			a := ask(t, h.Handler(), "POST /-/reload", "")
			if a.status != tt.status {
				t.Errorf("POST /-/reload: %d, want %d", a.status, tt.status)
			}
			for _, member := range []string{"type", "title", "status", "detail"} {
				if _, ok := a.doc[member]; ok != (tt.err != nil) {
					t.Errorf("POST /-/reload: has %s: %v, want it in problems only", member, ok)
				}
				delete(a.doc, member)
			}
			if !reflect.DeepEqual(a.doc, tt.want) {
				t.Errorf("POST /-/reload: %v, want %v", a.doc, tt.want)
			}
			if want := []string{"127.0.0.7"}; !slices.Equal(whos, want) {
				t.Errorf("the reload is asked for by %q, want %q", whos, want)
			}
		})
	}
}

// What has no policy yet has no breakers and no faults, and does not fall over.
func TestAdminWithoutPolicy(t *testing.T) {
	admin := newHouse(t).Handler()
	for line, want := range map[string]int{
		"GET /routes":              http.StatusOK,
		"GET /policies":            http.StatusOK,
		"GET /decisions":           http.StatusOK,
		"GET /config":              http.StatusServiceUnavailable,
		"GET /breakers":            http.StatusOK,
		"GET /concurrency":         http.StatusOK,
		"GET /breakers/standard":   http.StatusNotFound,
		"POST /breakers/standard":  http.StatusNotFound,
		"GET /faults":              http.StatusOK,
		"GET /faults/chaos":        http.StatusNotFound,
		"PUT /faults/chaos":        http.StatusNotFound,
		"DELETE /faults/chaos":     http.StatusNotFound,
		"GET /breakers/":           http.StatusNotFound,
		"DELETE /breakers/nothing": http.StatusMethodNotAllowed,
	} {
		if a := ask(t, admin, line, ""); a.status != want {
			t.Errorf("%s: %d, want %d", line, a.status, want)
		}
	}
}
