package validation

import (
	"compress/gzip"
	"compress/zlib"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"sidecar/internal/exchange"
)

func readTestdata(name string) ([]byte, error) { return os.ReadFile("testdata/" + name) }

// reading returns the policy that with describes, with the files of testdata.
func reading(t testing.TB, with func(c *Config)) *Validation {
	t.Helper()
	c := Config{Line: 7}
	c.SetDefaults()
	with(&c)
	c.Validate(func(field, problem string) { t.Fatalf("the policy is wrong: %s: %s", field, problem) })
	v, err := New("api", c, readTestdata, NewBuffers(c))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

const isJSONType = "Content-Type: application/json"

// refusal returns what v says of a JSON body.
func refusal(t *testing.T, v *Validation, body string, fields ...string) *exchange.Refusal {
	t.Helper()
	err := v.Check(request("POST /", body, append(fields, isJSONType)...))
	var f *exchange.Refusal
	if err != nil && !errors.As(err, &f) {
		t.Fatalf("Check() = %v, want nil or a refusal", err)
	}
	return f
}

// told returns the errors of f, each as "pointer: detail" or "in name: detail".
func told(f *exchange.Refusal) []string {
	var all []string
	if f == nil {
		return nil
	}
	for _, v := range f.Errors {
		where := v.In + " " + v.Name
		if v.Pointer != nil {
			where = *v.Pointer
		}
		all = append(all, where+": "+v.Detail)
	}
	return all
}

func TestJSONSchema(t *testing.T) {
	v := reading(t, func(c *Config) { c.JSONSchema = "order.json" })
	const line = `"lines":[{"sku":"abc","quantity":1}]`
	tests := []struct {
		name, body string
		want       []string
	}{
		{"an order", `{"id":"o-1",` + line + `}`, nil},
		{"an order in other words", ` { "lines" : [ {"sku":"abc","quantity":1e0} ], "id":"o-1","email":"a@example.com","to":null }`, nil},
		{"not an object", `[]`, []string{": must be of type object"}},
		{"nothing in it", `{}`, []string{": must have id, lines"}},
		{"more than there may be", `{"id":"o-1",` + line + `,"secret~/":1}`, []string{": must have no other members than those that are named"}},
		{"no pattern", `{"id":"secret",` + line + `}`, []string{"/id: must match ^[a-z]+-[0-9]+$"}},
		{"no format", `{"id":"o-1","email":"secret",` + line + `}`, []string{"/email: must have the format email"}},
		{"none of a few", `{"id":"o-1","state":"secret",` + line + `}`, []string{`/state: must be one of "open", "paid"`}},
		{"no alternative", `{"id":"o-1","to":1234567,` + line + `}`, []string{"/to: must fit one of the alternatives"}},
		{"no items", `{"id":"o-1","lines":[]}`, []string{"/lines: must have at least 1 items"}},
		{
			"all that is wrong", `{"id":"o-1","lines":[{"sku":"abc","quantity":1},{"sku":"x","quantity":1234567},{"sku":7,"quantity":0.5}]}`,
			[]string{
				"/lines/1/quantity: must be at most 99", "/lines/1/sku: must have at least 3 characters",
				"/lines/2/quantity: must be of type integer", "/lines/2/sku: must be of type string",
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := refusal(t, v, tt.body)
			if diff := cmp.Diff(tt.want, told(f)); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
			if f == nil {
				return
			}
			check(t, f, exchange.SchemaViolation, "")
			if said := fmt.Sprint(told(f), f.Detail, f.Note); strings.Contains(said, "secret") || strings.Contains(said, "1234567") {
				t.Errorf("the refusal tells what was sent: %s", said)
			}
		})
	}
	f := refusal(t, v, `{"id":"x","lines":[`+strings.Repeat(`{"sku":"x","quantity":1},`, 30)+`{"sku":"x","quantity":1}]}`)
	if len(f.Errors) != 20 || f.MoreErrors != 12 || f.Detail != "32 errors" || !strings.Contains(f.Note, "#/") {
		t.Errorf("%d errors and %d more, detail %q, note %q, want 20, 12, 32 errors and where", len(f.Errors), f.MoreErrors, f.Detail, f.Note)
	}
}

func TestWhatIsNoJSONBody(t *testing.T) {
	schema := reading(t, func(c *Config) { c.JSONSchema = "order.json"; c.MaxBody = 1000 })
	limits := reading(t, func(c *Config) { c.JSONLimits = &JSON{MaxDepth: 3, MaxTokens: 10} })
	const good = `{"id":"o-1","lines":[{"sku":"abc","quantity":1}]}`
	tests := []struct {
		name, line, body string
		fields           []string
		schema, limits   exchange.Reason
	}{
		{"no JSON", "POST /", `{"id":`, []string{isJSONType}, exchange.BodyMalformed, exchange.BodyMalformed},
		{"a name twice: whose is it?", "POST /", `{"id":"x","id":"o-1","lines":[]}`, []string{isJSONType}, exchange.BodyMalformed, ""},
		{"too deep", "POST /", strings.Repeat("[", 65) + strings.Repeat("]", 65), []string{isJSONType}, exchange.BodyTooComplex, exchange.BodyTooComplex},
		{"another type", "POST /", good, []string{"Content-Type: text/plain"}, exchange.BadContentType, ""},
		{"no type", "POST /", good, nil, exchange.BadContentType, ""},
		{"two types", "POST /", good, []string{isJSONType, "Content-Type: text/plain"}, exchange.BadContentType, ""},
		{"two types, and what is in one", "POST /", `{`, []string{"Content-Type: text/plain", isJSONType}, exchange.BadContentType, exchange.BodyMalformed},
		{"a type made of JSON", "POST /", good, []string{"Content-Type: application/vnd.order+json; v=1"}, "", ""},
		{"a type that only ends like it", "POST /", `{`, []string{"Content-Type: application/json5"}, exchange.BadContentType, ""},
		{"nothing", "POST /", "", []string{isJSONType}, exchange.BodyMalformed, ""},
		{"nothing, where nothing is normal", "GET /", "", nil, "", ""},
		{"something, where nothing is normal", "GET /", `{}`, []string{isJSONType}, exchange.SchemaViolation, ""},
		{"brotli", "POST /", good, []string{isJSONType, "Content-Encoding: br"}, exchange.BadEncoding, exchange.BadEncoding},
		{"two encodings", "POST /", good, []string{isJSONType, "Content-Encoding: gzip, gzip"}, exchange.BadEncoding, exchange.BadEncoding},
		{"two fields", "POST /", good, []string{isJSONType, "Content-Encoding: gzip", "Content-Encoding: identity"}, exchange.BadEncoding, exchange.BadEncoding},
		{"no encoding", "POST /", good, []string{isJSONType, "Content-Encoding: identity"}, "", ""},
		{"no gzip", "POST /", good, []string{isJSONType, "Content-Encoding: gzip"}, exchange.BodyMalformed, exchange.BodyMalformed},
		{"too large", "POST /", strings.Repeat(" ", 1001), []string{isJSONType}, exchange.BodyTooLarge, exchange.BodyMalformed},
		{"too many tokens", "POST /", `[1,2,3,4,5,6,7,8,9,10]`, []string{isJSONType}, exchange.SchemaViolation, exchange.BodyTooComplex},
		{"an upgrade", "GET /", "", []string{"Connection: Upgrade", "Upgrade: websocket"}, "", ""},
		{"an upgrade with a body", "POST /", `{`, []string{isJSONType, "Connection: Upgrade", "Upgrade: websocket"}, exchange.BodyMalformed, exchange.BodyMalformed},
	}
	for _, tt := range tests {
		for _, length := range []string{"of known length", "of unknown length"} {
			t.Run(tt.name+" "+length, func(t *testing.T) {
				for v, want := range map[*Validation]exchange.Reason{schema: tt.schema, limits: tt.limits} {
					r := request(tt.line, tt.body, tt.fields...)
					if length == "of unknown length" && tt.body != "" {
						r.ContentLength = -1
					}
					check(t, v.Check(r), want, "")
				}
			})
		}
	}
}

func TestRefusedTypesAndEncodingsAreToldWhatIsAccepted(t *testing.T) {
	v := reading(t, func(c *Config) { c.JSONSchema = "order.json" })
	check(t, v.Check(request("POST /", "{}", "Content-Type: text/plain")), exchange.BadContentType, "Accept: application/json, application/*+json")
	check(t, v.Check(request("POST /", "{}", isJSONType, "Content-Encoding: br")), exchange.BadEncoding, "Accept-Encoding: gzip, deflate")
}

// A gRPC call cannot be looked into: neither does it pass for what fits, nor
// is one of its spellings a way around.
func TestAGRPCCallDoesNotFitASchema(t *testing.T) {
	v := reading(t, func(c *Config) { c.JSONSchema = "order.json" })
	limits := reading(t, func(c *Config) { c.JSONLimits = &JSON{MaxDepth: 1, MaxTokens: 1} })
	for _, kind := range []string{"application/grpc", "application/grpc+json", "application/grpc+proto"} {
		r := request("POST /s/m", "[[[]]]", "Content-Type: "+kind)
		r.ProtoMajor = 2
		check(t, v.Check(r), exchange.BadContentType, "")
		check(t, limits.Check(r), "", "")
	}
	// One that says in a second field that it is JSON is looked at as such.
	both := request("POST /s/m", "{", "Content-Type: application/grpc", isJSONType)
	both.ProtoMajor = 2
	check(t, reading(t, func(c *Config) { c.JSONLimits = &JSON{MaxDepth: 4, MaxTokens: 10} }).Check(both), exchange.BodyMalformed, "")
}

func encoded(t testing.TB, coding, text string) string {
	t.Helper()
	var b strings.Builder
	var w io.WriteCloser = gzip.NewWriter(&b)
	if coding == "deflate" {
		w = zlib.NewWriter(&b)
	}
	_, err := io.WriteString(w, text)
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestEncodedBodies(t *testing.T) {
	v := reading(t, func(c *Config) { c.JSONSchema = "order.json" })
	const good = `{"id":"o-1","lines":[{"sku":"abc","quantity":1}]}`
	for _, coding := range []string{"gzip", "deflate"} {
		tests := []struct {
			name, sent string
			want       exchange.Reason
		}{
			{"an order", encoded(t, coding, good), ""},
			{"no order", encoded(t, coding, `{}`), exchange.SchemaViolation},
			{"no JSON", encoded(t, coding, `{`), exchange.BodyMalformed},
			{"cut short", encoded(t, coding, good)[:20], exchange.BodyMalformed},
			{"two bodies: some read one, and some both", encoded(t, coding, good) + encoded(t, coding, ` `), exchange.BodyMalformed},
			{"something behind", encoded(t, coding, good) + "x", exchange.BodyMalformed},
			{"small, and large as it was", encoded(t, coding, good+strings.Repeat(" ", 60<<10)), ""},
			{"a bomb", encoded(t, coding, good+strings.Repeat(" ", 1<<20)), exchange.BodyTooLarge},
			{"larger than any", encoded(t, coding, good+strings.Repeat(" ", 11<<20)), exchange.BodyTooLarge},
		}
		for _, tt := range tests {
			t.Run(coding+" "+tt.name, func(t *testing.T) {
				r := request("POST /", tt.sent, isJSONType, "Content-Encoding: "+coding)
				check(t, v.Check(r), tt.want, "")
				if got, err := io.ReadAll(r.Body); tt.want == "" && (string(got) != tt.sent || err != nil) {
					t.Errorf("the upstream gets %d bytes, %v, want the %d that were sent", len(got), err, len(tt.sent))
				}
			})
		}
	}
	if used := v.buffers.Used(); used < 0 {
		t.Errorf("%d bytes are used, want no less than none", used)
	}
}

func TestTheBodyGoesOnAsItCame(t *testing.T) {
	v := reading(t, func(c *Config) { c.JSONSchema = "order.json" })
	const good = `{ "id":"o-1", "lines":[{"sku":"abc","quantity":1}] }`
	for _, length := range []int64{int64(len(good)), -1} {
		ctx, end := context.WithCancel(t.Context())
		r := request("POST /", good, isJSONType)
		r = r.WithContext(exchange.With(ctx, &exchange.Record{}))
		r.Body, r.ContentLength = io.NopCloser(iotest.OneByteReader(strings.NewReader(good))), length
		check(t, v.Check(r), "", "")
		first := r.Body
		check(t, v.Check(r), "", "") // another policy of the same route
		if r.Body != first {
			t.Errorf("a body that is in memory was read into memory")
		}
		if got, err := io.ReadAll(r.Body); string(got) != good || err != nil || r.ContentLength != length {
			t.Errorf("body = %q, %v, length %d, want it as it was, %d", got, err, r.ContentLength, length)
		}
		if used := v.buffers.Used(); used < int64(len(good)) {
			t.Errorf("%d bytes are used, want as many as the body has", used)
		}
		end()
		for v.buffers.Used() != 0 { // or the test times out
			continue
		}
	}
}

func TestABodyThatCannotBeReadIsNoRefusalOfOurs(t *testing.T) {
	v := reading(t, func(c *Config) { c.JSONSchema = "order.json" })
	r := request("POST /", "{}", isJSONType)
	r.Body = io.NopCloser(iotest.ErrReader(io.ErrUnexpectedEOF))
	if err := v.Check(r); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("Check() = %v, want %v", err, io.ErrUnexpectedEOF)
	}
	if used := v.buffers.Used(); used != 0 {
		t.Errorf("%d bytes are used, want none", used)
	}
}

func TestWhatIsHeldInMemoryIsBounded(t *testing.T) {
	v := reading(t, func(c *Config) { c.JSONSchema = "order.json"; c.MaxBody, c.MaxBuffered = 8<<10, 32<<10 })
	const good = `{"id":"o-1","lines":[{"sku":"abc","quantity":1}]}`
	body := good + strings.Repeat(" ", 6<<10)
	ctx, end := context.WithCancel(t.Context())
	send := func() error {
		r := request("POST /", body, isJSONType)
		return v.Check(r.WithContext(exchange.With(ctx, &exchange.Record{})))
	}
	var err error
	sent := 0
	for ; err == nil && sent < 10; sent++ {
		err = send()
	}
	check(t, err, exchange.BuffersFull, "Retry-After: 1")
	if sent < 3 {
		t.Errorf("%d bodies of 6KiB fill 32KiB, want more", sent)
	}
	end()
	for v.buffers.Used() != 0 {
		continue
	}
	ctx = t.Context()
	check(t, send(), "", "")
	// What a client only announces takes nothing.
	r := request("POST /", "{", isJSONType)
	r.ContentLength = 8 << 10
	before := v.buffers.Used()
	r.Body = io.NopCloser(io.MultiReader(strings.NewReader("{"), readerFunc(func([]byte) (int, error) {
		if took := v.buffers.Used() - before; took > smallest {
			t.Errorf("one byte of a large body takes %d, want %d at most", took, smallest)
		}
		return 0, io.ErrUnexpectedEOF
	})))
	if err := v.Check(r); err == nil {
		t.Error("Check() = nil, want an error")
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// What a policy in shadow says of a body, it says when others have read it:
// nothing is held back, and nothing bounded.
func TestAShadowLooksOn(t *testing.T) {
	v := reading(t, func(c *Config) { c.JSONSchema = "order.json"; c.MaxBody, c.Mode = 100, exchange.ModeShadow })
	const good = `{"id":"o-1","lines":[{"sku":"abc","quantity":1}]}`
	tests := []struct {
		name, body string
		coding     string
		want       exchange.Reason
	}{
		{"an order", good, "identity", ""},
		{"no order", `{}`, "identity", exchange.SchemaViolation},
		{"no JSON", `{`, "identity", exchange.BodyMalformed},
		{"encoded", encoded(t, "gzip", `{}`), "gzip", exchange.SchemaViolation},
		{"a large one", strings.Repeat(" ", 1<<20), "identity", exchange.BodyTooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := request("POST /", tt.body, isJSONType, "Content-Encoding: "+tt.coding)
			r.ContentLength = -1
			rec := exchange.From(r.Context())
			check(t, v.Check(r), "", "")
			if n := len(rec.Decisions()); n != 0 {
				t.Errorf("%d decisions before the body was read, want none", n)
			}
			got, err := io.ReadAll(r.Body)
			if string(got) != tt.body || err != nil {
				t.Errorf("the upstream gets %d bytes, %v, want all %d", len(got), err, len(tt.body))
			}
			var reason exchange.Reason
			for _, d := range rec.Decisions() {
				if d.Outcome != exchange.Shadow {
					t.Errorf("decision %+v, want outcome shadow", d)
				}
				reason = d.Reason
			}
			if reason != tt.want || rec.ClientFault() != nil {
				t.Errorf("noted %q, blamed %v, want %q and nobody", reason, rec.ClientFault(), tt.want)
			}
			if used := v.buffers.Used(); used != 0 {
				t.Errorf("%d bytes are used, want none", used)
			}
		})
	}
	r := request("POST /", good, isJSONType)
	check(t, v.Check(r), "", "")
	if _, err := r.Body.Read(make([]byte, len(good))); err != nil { // some do not ask for the end
		t.Fatal(err)
	}
	if used := v.buffers.Used(); used != 0 {
		t.Errorf("%d bytes are used when all is read, want none", used)
	}
}

func TestProblemsOfFiles(t *testing.T) {
	files := map[string]string{
		"no.json":         `{"type": `,
		"list.json":       `[]`,
		"type.json":       `{"type": "sting"}`,
		"pattern.json":    `{"pattern": "(?=a)"}`,
		"url.json":        `{"$ref": "https://example.com/schema.json"}`,
		"file.json":       `{"$ref": "file:///etc/passwd"}`,
		"draft.json":      `{"$schema": "https://example.com/draft"}`,
		"swagger.yaml":    "swagger: '2.0'\ninfo: {title: x, version: '1'}\npaths: {}",
		"openapi32.yaml":  "openapi: 3.2.0\ninfo: {title: x, version: '1'}\npaths: {}",
		"openapiref.yaml": "openapi: 3.0.0\ninfo: {title: x, version: '1'}\npaths: {/a: {$ref: 'other.yaml#/a'}}",
		"openapibad.yaml": "openapi: 3.0.0\ninfo: {title: x}\npaths: {}",
	}
	for file, text := range files {
		t.Run(file, func(t *testing.T) {
			c := Config{JSONSchema: file}
			field := "jsonSchema"
			if strings.HasSuffix(file, ".yaml") {
				c, field = Config{OpenAPIFile: file}, "openapi"
			}
			c.MaxBody, c.MaxBuffered = 1, 1
			_, err := New("api", c, func(string) ([]byte, error) { return []byte(text), nil }, NewBuffers(c))
			var wrong *exchange.FieldError
			if !errors.As(err, &wrong) || wrong.Field != field || !strings.HasPrefix(wrong.Problem, "must ") || strings.Contains(wrong.Problem, "\n") {
				t.Errorf("New() = %v, want a problem of %s in one line", err, field)
			}
			t.Log(err)
		})
	}
}

func TestADraftThatIsNotKnownIsToldSo(t *testing.T) {
	const known = "must hold a JSON Schema: $schema must be draft-04, draft-06, draft-07, 2019-09 or 2020-12, got "
	tests := []struct{ schema, want string }{
		{`{"$schema": "http://json-schema.org/draft-07/schema#"}`, ""},
		{`{"$schema": "http://json-schema.org/draft-03/schema#"}`, known + `"http://json-schema.org/draft-03/schema"`},
		{`{"$schema": "https://example.com/draft"}`, known + `"https://example.com/draft"`},
	}
	for _, tt := range tests {
		_, err := loadSchema("this.json", func(string) ([]byte, error) { return []byte(tt.schema), nil })
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s: problem %q, want %q", tt.schema, got, tt.want)
		}
	}
}

func TestConfigProblems(t *testing.T) {
	tests := map[string]Config{
		"maxBody":          {JSONSchema: "x", MaxBuffered: 1},
		"maxBuffered":      {OpenAPIFile: "x", MaxBody: 2, MaxBuffered: 1},
		"json.maxDepth":    {JSONLimits: &JSON{MaxTokens: 1}, MaxBody: 1, MaxBuffered: 1},
		"json.maxTokens":   {JSONLimits: &JSON{MaxDepth: 1}, MaxBody: 1, MaxBuffered: 1},
		"query.pattern.a":  {Query: Query{Pattern: map[string]string{"a": "("}}},
		"query.maxLength.": {Query: Query{MaxLength: map[string]int{"": -1}}},
		"query.deny[0]":    {Query: Query{Require: []string{"a"}, Deny: []string{"a"}}},
	}
	for want, c := range tests {
		var got []string
		c.Validate(func(field, _ string) { got = append(got, field) })
		if len(got) != 1 || got[0] != want {
			t.Errorf("problems of %v, want one of %s", got, want)
		}
	}
}
