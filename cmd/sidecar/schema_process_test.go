package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The schema and the description that we hand out, as the tour uses them.
func TestRequestsAreCheckedAgainstSchemas(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }))
	defer up.Close()
	schemas, err := filepath.Abs("../../configs/schemas")
	if err != nil {
		t.Fatal(err)
	}
	r := run(t, "version: v1\n"+ports+fmt.Sprintf(`
upstreams: {app: {endpoints: [{url: %q}]}}
policies:
  validation:
    order: {jsonSchema: %q}
    contract: {openapi: %q}
routes:
  - {name: create, match: {path: /v1/orders, methods: [POST]}, upstream: app, use: {validation: order}}
  - {name: orders, upstream: app, use: {validation: contract}}
`, up.URL, filepath.Join(schemas, "order.json"), filepath.Join(schemas, "orders.yaml")))

	const order = `{"customer":"1313edaa-f25f-486d-aef1-03b0d5c3a222","lines":[{"sku":"ABC-0001","quantity":2}]}`
	tests := []struct {
		name, line, body string
		status           int
		says             string
	}{
		{"an order", "POST /v1/orders", order, 200, order},
		{"no such order", "POST /v1/orders", strings.Replace(order, "2}", "200}", 1), 422, `{"pointer":"/lines/0/quantity","detail":"must be at most 99"}`},
		{"no JSON", "POST /v1/orders", order[1:], 400, `"reason":"body_malformed"`},
		{"a list", "GET /v1/orders?page=2", "", 200, ""},
		{"no such page", "GET /v1/orders?page=0", "", 400, `{"in":"query","name":"page","detail":"must be at least 1"}`},
		{"no such path", "GET /v1/customers", "", 404, `"reason":"operation_unknown"`},
		{"no such method", "DELETE /v1/orders/7", "", 405, `"reason":"method_not_allowed"`},
		{"a change", "PUT /v1/orders/7", `{"state":"paid"}`, 200, `{"state":"paid"}`},
		{"no such change", "PUT /v1/orders/7", `{"state":"lost"}`, 422, `{"pointer":"/state","detail":"must be one of \"open\", \"paid\", \"sent\""}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			method, target, _ := strings.Cut(tt.line, " ")
			req, err := http.NewRequest(method, r.data+target, strings.NewReader(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/json")
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			got, _ := io.ReadAll(resp.Body)
			if resp.StatusCode != tt.status || !strings.Contains(string(got), tt.says) {
				t.Errorf("%d %s, want %d and %s", resp.StatusCode, got, tt.status, tt.says)
			}
			if tt.status >= 400 && !json.Valid(got) {
				t.Errorf("the answer is no JSON: %s", got)
			}
		})
	}
}

// A schema that changes is read again, like the policy itself.
func TestASchemaThatChangesIsReadAgain(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer up.Close()
	file := filepath.Join(t.TempDir(), "s.json")
	write(t, file, `{"type": "object"}`)
	r := run(t, "version: v1\n"+ports+fmt.Sprintf(`
upstreams: {app: {endpoints: [{url: %q}]}}
routes: [{name: all, upstream: app, use: {validation: {jsonSchema: %q}}}]
`, up.URL, file))
	send := func() int {
		resp, err := http.Post(r.data, "application/json", strings.NewReader(`{}`))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	if got := send(); got != 200 {
		t.Errorf("status %d, want 200", got)
	}
	write(t, file+".new", `{"type": "array"}`)
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
	r.line("policy reloaded")
	if got := send(); got != 422 {
		t.Errorf("status %d after the schema changed, want 422", got)
	}
}
