package validation

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sidecar/internal/exchange"
)

func TestOpenAPI(t *testing.T) {
	v30 := reading(t, func(c *Config) { c.OpenAPIFile = "openapi30.yaml" })
	v31 := reading(t, func(c *Config) { c.OpenAPIFile = "openapi31.json" })
	const tenant = "X-Tenant: acme"
	const merge = "Content-Type: application/merge-patch+json"
	tests := []struct {
		name       string
		v          *Validation
		line, body string
		fields     []string
		want       exchange.Reason
		header     string
		told       []string
	}{
		{name: "a list", v: v30, line: "GET /v1/orders?limit=10", fields: []string{tenant}},
		{name: "HEAD is GET", v: v30, line: "HEAD /v1/orders", fields: []string{tenant}},
		{name: "a parameter that is not described", v: v30, line: "GET /v1/orders?other=1&other=2", fields: []string{tenant}},
		{name: "a list of values", v: v30, line: "GET /v1/orders?state=open&state=paid", fields: []string{tenant}},
		{name: "a cookie", v: v30, line: "GET /v1/orders", fields: []string{tenant, "Cookie: session=1"}},
		{name: "one", v: v30, line: "GET /v1/orders/42"},
		{name: "a name before a pattern", v: v30, line: "GET /v1/orders/latest"},
		{name: "a host of any name", v: v30, line: "GET http://other.example.org/v1/orders/42"},

		{name: "no such path", v: v30, line: "GET /v1/other", want: exchange.OperationUnknown},
		{name: "no such path below the server's", v: v30, line: "GET /orders/42", want: exchange.OperationUnknown},
		{name: "a slash at the end is another path", v: v30, line: "GET /v1/orders/", want: exchange.OperationUnknown},
		{name: "no such method", v: v30, line: "PATCH /v1/orders/42", want: exchange.MethodNotAllowed, header: "Allow: GET, HEAD, PUT, DELETE"},
		{name: "a bare semicolon", v: v30, line: "GET /v1/orders?a;limit=x", fields: []string{tenant}, want: exchange.QueryInvalid},

		{name: "not a number", v: v30, line: "GET /v1/orders/secret", want: exchange.ParameterInvalid, told: []string{"path id: must be of type integer"}},
		{name: "too many", v: v30, line: "GET /v1/orders?limit=1234567", fields: []string{tenant}, want: exchange.ParameterInvalid, told: []string{"query limit: must be at most 100"}},
		{name: "one value hides another", v: v30, line: "GET /v1/orders?limit=1&limit=1234567", fields: []string{tenant}, want: exchange.ParameterInvalid, told: []string{"query limit: must not be repeated"}},
		{name: "a wrong value in a list", v: v30, line: "GET /v1/orders?state=open&state=secret", fields: []string{tenant}, want: exchange.ParameterInvalid, told: []string{`query state: must be one of "open", "paid"`}},
		{name: "a header is missing, and more", v: v30, line: "GET /v1/orders?limit=0", want: exchange.ParameterInvalid, told: []string{"header X-Tenant: is required", "query limit: must be at least 1"}},
		{name: "a header that does not match", v: v30, line: "GET /v1/orders", fields: []string{"X-Tenant: SECRET"}, want: exchange.ParameterInvalid, told: []string{"header X-Tenant: must match ^[a-z]+$"}},
		{name: "two headers", v: v30, line: "GET /v1/orders", fields: []string{tenant, "X-Tenant: SECRET"}, want: exchange.ParameterInvalid, told: []string{"header X-Tenant: must not be repeated"}},
		{name: "a long cookie", v: v30, line: "GET /v1/orders", fields: []string{tenant, "Cookie: session=123456789"}, want: exchange.ParameterInvalid, told: []string{"cookie session: must have at most 8 characters"}},
		{name: "a header as CGI reads it", v: v30, line: "GET /v1/orders", fields: []string{tenant, "X_Tenant: SECRET"}, want: exchange.ParameterInvalid, told: []string{"header X-Tenant: must not be repeated"}},
		{name: "a header as CGI alone reads it", v: v30, line: "GET /v1/orders", fields: []string{"X_Tenant: SECRET"}, want: exchange.ParameterInvalid, told: []string{"header X-Tenant: must be spelled as it is described"}},
		{name: "a cookie that net/http leaves out", v: v30, line: "GET /v1/orders", fields: []string{tenant, `Cookie: session=1"23456789`}, want: exchange.ParameterInvalid, told: []string{"cookie session: must be a cookie as RFC 6265 has it, among few others"}},
		{name: "a cookie among more than net/http reads", v: v30, line: "GET /v1/orders", fields: []string{tenant, "Cookie: " + strings.Repeat("a;", 3001) + "session=123456789"}, want: exchange.ParameterInvalid, told: []string{"cookie session: must be a cookie as RFC 6265 has it, among few others"}},
		{name: "a path is judged decoded", v: v30, line: "GET /v1/labels/a%20%C3%BC"},
		{name: "an encoding hides nothing in a path", v: v30, line: "GET /v1/labels/%3C", want: exchange.ParameterInvalid, told: []string{"path label: must match ^[^<]*$"}},
		{name: "a text in a parameter", v: v30, line: `GET /v1/search?filter={"op":"and","of":{"op":"or"}}`},
		{name: "a parameter of a text that is not there", v: v30, line: "GET /v1/search"},
		{name: "no JSON in a parameter", v: v30, line: "GET /v1/search?filter={", want: exchange.ParameterInvalid, told: []string{"query filter: cannot be accepted: not JSON: a name is missing at byte 1"}},
		{name: "a name twice in a parameter", v: v30, line: `GET /v1/search?filter={"op":"and","op":"secret"}`, want: exchange.ParameterInvalid, told: []string{"query filter: cannot be accepted: a name stands twice in one object, before byte 16"}},
		{name: "a small text in a parameter makes little work", v: v30, line: "GET /v1/search?filter=" + strings.Repeat(`{"op":"secret","of":`, 40) + "1" + strings.Repeat("}", 40), want: exchange.ParameterInvalid, told: []string{"query filter: does not fit the schema, and is too much to tell where"}},

		{name: "an order", v: v30, line: "POST /v1/orders", body: `{"id":1,"note":null,"next":{"id":2}}`, fields: []string{isJSONType}},
		{name: "a wrong order", v: v30, line: "POST /v1/orders", body: `{"note":null,"price":0,"next":{"id":"secret","x":1}}`, fields: []string{isJSONType}, want: exchange.SchemaViolation, told: []string{
			": must have id", "/next: must have no other members than those that are named", "/next/id: must be of type integer", "/price: must be more than 0",
		}},
		{name: "no order", v: v30, line: "POST /v1/orders", want: exchange.BodyMalformed},
		{name: "a name twice", v: v30, line: "POST /v1/orders", body: `{"id":1,"id":"x"}`, fields: []string{isJSONType}, want: exchange.BodyMalformed},
		{name: "another type that is described", v: v30, line: "POST /v1/orders", body: "1,2", fields: []string{"Content-Type: text/csv"}},
		{name: "a type that is not", v: v30, line: "POST /v1/orders", body: "<a/>", fields: []string{"Content-Type: text/xml"}, want: exchange.BadContentType, header: "Accept: application/json, text/csv"},
		{name: "no type", v: v30, line: "POST /v1/orders", body: "{}", want: exchange.BadContentType},
		{name: "a body that is described elsewhere", v: v30, line: "PUT /v1/orders/1", body: `{"id":"x"}`, fields: []string{merge}, want: exchange.SchemaViolation, told: []string{"/id: must be of type integer"}},
		{name: "no body where it may be", v: v30, line: "PUT /v1/orders/1"},
		{name: "a body where none is described", v: v30, line: "DELETE /v1/orders/1", body: "{}", fields: []string{isJSONType}, want: exchange.BodyMalformed},

		{name: "3.1: an order", v: v31, line: "POST /orders?n=1", body: `{"id":null,"price":1,"kind":"order","pair":["a",1]}`, fields: []string{isJSONType}},
		{name: "3.1: a wrong parameter", v: v31, line: "POST /orders?n=0", body: `{}`, fields: []string{isJSONType}, want: exchange.ParameterInvalid, told: []string{"query n: must be at least 1"}},
		{name: "3.1: a wrong order", v: v31, line: "POST /orders", body: `{"price":0,"kind":"secret","pair":[1,2],"x":1}`, fields: []string{isJSONType}, want: exchange.SchemaViolation, told: []string{
			": must have id", `/kind: must be "order"`, "/pair/0: must be of type string", "/price: must be more than 0", "/x: must not be there",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := request(tt.line, tt.body, tt.fields...)
			query, before := r.URL.RawQuery, r.Header.Clone()
			err := tt.v.Check(r)
			check(t, err, tt.want, tt.header)
			var f *exchange.Refusal
			errors.As(err, &f)
			if diff := cmp.Diff(tt.told, told(f)); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
			if f != nil && strings.Contains(strings.ToLower(strings.Join(told(f), "")), "secret") {
				t.Errorf("the refusal tells what was sent: %v", told(f))
			}
			if diff := cmp.Diff(before, r.Header); diff != "" || r.URL.RawQuery != query {
				t.Errorf("the request has changed: query %q, header %s", r.URL.RawQuery, diff)
			}
			if got, err := io.ReadAll(r.Body); f == nil && (string(got) != tt.body || err != nil) {
				t.Errorf("the upstream gets %q, %v, want %q", got, err, tt.body)
			}
		})
	}
}

// What is read offline knows of no file, and refuses nothing for it.
func TestOfflineFilesAreNotRead(t *testing.T) {
	c := Config{OpenAPIFile: "openapi30.yaml", JSONSchema: "order.json", MaxBody: 1 << 10, MaxBuffered: 1 << 10}
	v, err := New("api", c, nil, NewBuffers(c))
	if err != nil {
		t.Fatal(err)
	}
	check(t, v.Check(request("GET /nowhere", "")), "", "")
}
