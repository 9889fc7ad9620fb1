package validation

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"sidecar/internal/exchange"
)

// policy returns the default policy, changed by with.
func policy(with func(c *Config)) *Validation {
	c := Config{Line: 7}
	c.SetDefaults()
	with(&c)
	v, err := New("api", c, nil, NewBuffers(c))
	if err != nil {
		panic(err) // there are no files that could be wrong
	}
	return v
}

// request returns a request of "METHOD /target", with "Name: value" fields.
func request(line, body string, fields ...string) *http.Request {
	method, target, _ := strings.Cut(line, " ")
	var from io.Reader
	if body != "" {
		from = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, target, from)
	for _, field := range fields {
		name, value, _ := strings.Cut(field, ": ")
		r.Header.Add(name, value)
	}
	return r.WithContext(exchange.With(r.Context(), &exchange.Record{}))
}

func TestCheck(t *testing.T) {
	strict := policy(func(c *Config) {
		c.Methods = []string{"POST", "GET", "PUT"}
		c.MaxURL = 16
		c.MaxBody = 8
		c.ContentTypes = []string{"application/json", "Text/*"}
		c.Headers = Headers{Require: []string{"x-client", "Host"}, Deny: []string{"x-debug"}}
	})
	const json = "Content-Type: application/json"
	tests := []struct {
		name   string
		line   string
		body   string
		fields []string
		want   exchange.Reason
		header string // "Name: value" of the answer
	}{
		{name: "a plain GET", line: "GET /a"},
		{name: "a JSON document", line: "POST /a", body: "{}", fields: []string{json}},
		{name: "case and parameters of the type do not matter", line: "POST /a", body: "{}", fields: []string{"Content-Type: Application/JSON ;charset=utf-8"}},
		{name: "any text", line: "POST /a", body: "hi", fields: []string{"Content-Type: text/csv"}},
		{name: "no body needs no type", line: "POST /a"},
		{name: "no body may have a type", line: "POST /a", fields: []string{"Content-Type: image/png"}},
		{name: "a URL as long as allowed", line: "GET /23456789012345?"},
		{name: "a body as large as allowed", line: "POST /a", body: "12345678", fields: []string{json}},

		{name: "a method that is not listed", line: "DELETE /a", want: exchange.MethodNotAllowed, header: "Allow: POST, GET, PUT"},
		{name: "methods have a case", line: "get /a", want: exchange.MethodNotAllowed, header: "Allow: POST, GET, PUT"},
		{name: "a long URL", line: "GET /234567890?234567", want: exchange.URITooLong},
		{name: "a denied header as CGI reads it", line: "GET /a", fields: []string{"X_Debug: 1"}, want: exchange.HeaderDenied},
		{name: "a denied header", line: "GET /a", fields: []string{"X-Debug: "}, want: exchange.HeaderDenied},
		{name: "another type", line: "POST /a", body: "{}", fields: []string{"Content-Type: application/xml"}, want: exchange.BadContentType, header: "Accept: application/json, text/*"},
		{name: "a type that only begins like one", line: "POST /a", body: "{}", fields: []string{"Content-Type: application/json5"}, want: exchange.BadContentType},
		{name: "a type without a subtype", line: "POST /a", body: "{}", fields: []string{"Content-Type: text/"}, want: exchange.BadContentType},
		{name: "no type", line: "POST /a", body: "{}", want: exchange.BadContentType},
		{name: "two types", line: "POST /a", body: "{}", fields: []string{json, "Content-Type: text/xml"}, want: exchange.BadContentType},
		{name: "two types in one field", line: "POST /a", body: "{}", fields: []string{json + ", text/xml"}, want: exchange.BadContentType},
		{name: "a large body", line: "POST /a", body: "123456789", fields: []string{json}, want: exchange.BodyTooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := request(tt.line, tt.body, append(tt.fields, "X-Client: me")...)
			check(t, strict.Check(r), tt.want, tt.header)
		})
	}
	t.Run("a required header is missing", func(t *testing.T) {
		err := strict.Check(request("GET /a", ""))
		check(t, err, exchange.HeaderMissing, "")
		if !strings.Contains(err.Error(), "X-Client") {
			t.Errorf("Check() = %q, want it to name X-Client", err)
		}
	})
}

// check demands that err is a refusal for want that answers with header, or
// nil for no reason.
func check(t *testing.T, err error, want exchange.Reason, header string) {
	t.Helper()
	if want == "" {
		if err != nil {
			t.Errorf("Check() = %v, want nil", err)
		}
		return
	}
	var f *exchange.Refusal
	if !errors.As(err, &f) {
		t.Fatalf("Check() = %v, want a refusal for %s", err, want)
	}
	if f.Reason != want || f.Kind != exchange.Validation || f.Policy != "api" || f.Line != 7 {
		t.Errorf("Check() = %+v, want reason %s, kind validation, policy api, line 7", f, want)
	}
	if name, value, ok := strings.Cut(header, ": "); ok && f.Header.Get(name) != value {
		t.Errorf("%s = %q, want %q", name, f.Header.Get(name), value)
	}
}

func TestTheCheapestCheckComesFirst(t *testing.T) {
	v := policy(func(c *Config) {
		c.Methods = []string{"GET"}
		c.MaxURL, c.MaxBody = 2, 1
		c.Headers.Require = []string{"X-Client"}
		c.ContentTypes = []string{"text/plain"}
	})
	steps := []struct {
		want exchange.Reason
		mend func(r *http.Request)
	}{
		{exchange.MethodNotAllowed, func(r *http.Request) { r.Method = "GET" }},
		{exchange.URITooLong, func(r *http.Request) { r.RequestURI = "/" }},
		{exchange.HeaderMissing, func(r *http.Request) { r.Header.Set("X-Client", "me") }},
		{exchange.BadContentType, func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }},
		{exchange.BodyTooLarge, func(r *http.Request) { r.ContentLength = 1 }},
		{"", nil},
	}
	r := request("POST /long", "12")
	for _, step := range steps {
		check(t, v.Check(r), step.want, "")
		if step.mend != nil {
			step.mend(r)
		}
	}
}

func TestNoLimits(t *testing.T) {
	v := policy(func(c *Config) { c.MaxBody, c.MaxURL = 0, 0 })
	r := request("POST /"+strings.Repeat("a", 1<<16), "body")
	r.ContentLength = 1 << 40
	check(t, v.Check(r), "", "")
}

func TestFieldsThatNetHTTPTakesOutOfTheHeaderAreSeen(t *testing.T) {
	v := policy(func(c *Config) { c.Headers.Deny = []string{"Transfer-Encoding", "Trailer"} })
	chunked := request("POST /", "body")
	chunked.TransferEncoding = []string{"chunked"}
	check(t, v.Check(chunked), exchange.HeaderDenied, "")
	trailing := request("POST /", "body")
	trailing.Trailer = http.Header{"X-Sum": nil}
	check(t, v.Check(trailing), exchange.HeaderDenied, "")
}

func TestCheckDoesNotAllocate(t *testing.T) {
	v := policy(func(c *Config) {
		c.Methods = []string{"GET", "POST"}
		c.ContentTypes = []string{"text/*", "application/json"}
		c.Headers = Headers{Require: []string{"X-Client"}, Deny: []string{"X-Debug"}}
	})
	r := request("POST /v1/orders", "{}", "X-Client: me", "Content-Type: application/json; charset=utf-8")
	if got := testing.AllocsPerRun(100, func() { _ = v.Check(r) }); got != 0 {
		t.Errorf("Check allocates %v times, want 0", got)
	}
}

func BenchmarkCheck(b *testing.B) {
	v := policy(func(c *Config) {
		c.Methods = []string{"GET", "POST"}
		c.ContentTypes = []string{"text/*", "application/json"}
		c.Headers = Headers{Require: []string{"X-Client"}, Deny: []string{"X-Debug"}}
	})
	r := request("POST /v1/orders", "{}", "X-Client: me", "Content-Type: application/json")
	b.ReportAllocs()
	for b.Loop() {
		if err := v.Check(r); err != nil {
			b.Fatal(err)
		}
	}
}

func TestADeniedFieldIsNoTrailerEither(t *testing.T) {
	v := policy(func(c *Config) { c.Headers = Headers{Deny: []string{"X-Debug"}} })
	r := unknown("POST /", "x")
	r.Trailer = http.Header{"X-Debug": nil} // announced
	check(t, v.Check(r), exchange.HeaderDenied, "")
}
