package validation

import (
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"sidecar/internal/exchange"
)

func schemaOf(t testing.TB, text string) *schema {
	t.Helper()
	s, err := loadSchema("this.json", folder{"this.json": text}.read)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// surely says which bodies are let by without the library; of the others it is
// asked.
var surely = []struct {
	name, schema, body string
	sure               bool
}{
	{"any", `true`, ` {"a":[1,{"b":"]"}]} `, true},
	{"none", `false`, `1`, false},
	{"a type", `{"type":"object"}`, `{}`, true},
	{"another type", `{"type":"object"}`, `[]`, false},
	{"one of two types", `{"type":["string","null"]}`, `null`, true},
	{"an integer with a point", `{"type":"integer"}`, `-1.00`, true},
	{"no integer", `{"type":"integer"}`, `1.5`, false},
	{"a number with an exponent is odd", `{"type":"integer"}`, `1e0`, false},
	{"a number with an exponent, of which nothing is wanted", `{"type":"number"}`, `1e0`, true},
	{"a long number is odd", `{"minimum":0}`, `1234567890123456789`, false},
	{"the least", `{"minimum":0.1}`, `0.10`, true},
	{"less than the least", `{"minimum":0.1}`, `0.0999`, false},
	{"the least, and more is wanted", `{"exclusiveMinimum":-3}`, `-3`, false},
	{"the most", `{"maximum":9007199254740993}`, `9007199254740993`, true},
	{"much more than little", `{"minimum":0.00000000000000003}`, `140737488355328`, true},
	{"a little more", `{"maximum":9007199254740992}`, `9007199254740993`, false},
	{"a multiple", `{"multipleOf":0.01}`, `-19.99`, true},
	{"no multiple", `{"multipleOf":0.01}`, `19.999`, false},
	{"of an enum", `{"enum":["a",1,null,true]}`, `1.0`, true},
	{"of no enum", `{"enum":["a",1,null,true]}`, `false`, false},
	{"the same value", `{"const":"a"}`, `"a"`, true},
	{"the same value in other words", `{"const":"a"}`, `"\u0061"`, false},
	{"a value that is made of others", `{"const":[]}`, `[]`, false},
	{"characters are counted, not bytes", `{"maxLength":3}`, `"日本語"`, true},
	{"too long", `{"maxLength":2}`, `"日本語"`, false},
	{"an escape, and the length matters", `{"maxLength":9}`, `"a\n"`, false},
	{"an escape, and it does not", `{"type":"string"}`, `"a\""`, true},
	{"a pattern", `{"pattern":"^a+$"}`, `"aaa"`, true},
	{"no pattern", `{"pattern":"^a+$"}`, `"ab"`, false},
	{"a format", `{"format":"date"}`, `"2024-02-29"`, true},
	{"no format", `{"format":"date"}`, `"2023-02-29"`, false},
	{"what is required", `{"required":["a","b"]}`, `{"b":1,"a":2}`, true},
	{"not all that is required", `{"required":["a","b"]}`, `{"b":1,"c":2}`, false},
	{"an escape in a name", `{"required":["a"]}`, `{"\u0061":1}`, false},
	{"named, a pattern, and others", `{"properties":{"a":{"type":"null"}},"patternProperties":{"^b":{"minimum":2}},"additionalProperties":{"type":"string"}}`, `{"a":null,"b1":2,"c":"x"}`, true},
	{"named, and as a pattern wrong", `{"properties":{"b":{"type":"integer"}},"patternProperties":{"^b":{"minimum":2}}}`, `{"b":1}`, false},
	{"another", `{"properties":{"a":true},"additionalProperties":false}`, `{"a":1,"b":2}`, false},
	{"many members", `{"maxProperties":1}`, `{"a":1,"b":2}`, false},
	{"items", `{"items":{"type":"integer"},"minItems":2,"maxItems":3}`, `[ 1 , 2 ]`, true},
	{"a wrong item", `{"items":{"type":"integer"}}`, `[1,"2"]`, false},
	{"few items", `{"minItems":3}`, `[[1,2],2]`, false},
	{"items by their place", `{"prefixItems":[{"type":"string"},true],"items":false}`, `["a",1]`, true},
	{"one too many", `{"prefixItems":[{"type":"string"},true],"items":false}`, `["a",1,2]`, false},
	{"items by their place, as it was said before", `{"$schema":"http://json-schema.org/draft-07/schema#","items":[{"type":"string"}],"additionalItems":{"type":"null"}}`, `["a",null]`, true},
	{"a reference", `{"$ref":"#/$defs/a","$defs":{"a":{"type":"string"}}}`, `"a"`, true},
	{"a reference within itself", `{"properties":{"next":{"$ref":"#"}},"additionalProperties":false}`, `{"next":{"next":{}}}`, true},
	{"a reference in a circle", `{"$ref":"#/$defs/a","$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/a"}}}`, `1`, false},
	{"all", `{"allOf":[{"minimum":1},{"maximum":2}]}`, `2`, true},
	{"not all", `{"allOf":[{"minimum":1},{"maximum":2}]}`, `3`, false},
	{"some", `{"anyOf":[{"type":"string"},{"minimum":1}]}`, `1`, true},
	{"not even some", `{"anyOf":[{"type":"string"},{"minimum":1}]}`, `0`, false},
	{"one of them", `{"oneOf":[{"properties":{"a":{"const":1}},"required":["a"]},{"properties":{"a":{"const":2}}}]}`, `{"a":2}`, true},
	{"two of them", `{"oneOf":[{"type":"integer"},{"minimum":1}]}`, `1`, false},
	{"named or a pattern, where both are wanted", `{"anyOf":[{"properties":{"b":{"type":"integer"}},"patternProperties":{"^b":{"minimum":2}}},false]}`, `{"b":1}`, false},
	{"not all items", `{"not":{"items":{"type":"integer"}}}`, `["a",1,[],2]`, true},
	{"some items", `{"anyOf":[{"items":{"type":"integer"}},false]}`, `["a",1]`, false},
	{"not", `{"not":{"type":"string"}}`, `1`, true},
	{"not so", `{"not":{"type":"string"}}`, `"1"`, false},
	{"not what cannot be told", `{"not":{"const":"a"}}`, `"\u0061"`, false},
	{"if, then", `{"if":{"properties":{"a":{"const":1}}},"then":{"required":["b"]}}`, `{"a":1,"b":1}`, true},
	{"if, and not then", `{"if":{"properties":{"a":{"const":1}}},"then":{"required":["b"]}}`, `{"a":1}`, false},
	{"else", `{"if":{"type":"string"},"else":{"minimum":1}}`, `1`, true},
	{"another keyword", `{"uniqueItems":true}`, `[1,2]`, false},
	{"another keyword that nothing comes to", `{"properties":{"a":{"contains":{}}}}`, `{"b":[1]}`, true},
	{"another keyword, of what others have looked at", `{"properties":{"a":true},"unevaluatedProperties":false}`, `{"a":1}`, false},
	{"beside a reference, where that was ignored", `{"$schema":"http://json-schema.org/draft-07/schema#","$ref":"#/definitions/a","maximum":1,"definitions":{"a":{"type":"integer"}}}`, `2`, true},
	{"beside a reference, where that was not quite ignored", `{"$schema":"http://json-schema.org/draft-07/schema#","$ref":"#/definitions/a","const":1,"definitions":{"a":{"type":"integer"}}}`, `1`, false},
}

func TestWhatSurelyFits(t *testing.T) {
	for _, tt := range surely {
		t.Run(tt.name, func(t *testing.T) {
			v, ok := compareWithLibrary(t, schemaOf(t, tt.schema), []byte(tt.body))
			if !ok || v.surely != tt.sure {
				t.Errorf("surely %v of %s, want %v", v.surely, tt.body, tt.sure)
			}
		})
	}
}

// Most of what fits is not left to the library; else all this would be for
// nothing, and the fuzzer would find nothing.
func TestMostOfWhatFitsSurelyDoes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	chance := func(n int) *dice {
		d := &dice{make([]byte, n)}
		for i := range d.data {
			d.data[i] = byte(r.Uint32())
		}
		return d
	}
	fits, sure, not := 0, 0, 0
	for range 500 {
		text, err := json.Marshal(chance(400).document())
		if err != nil {
			t.Fatal(err)
		}
		s, err := loadSchema("this.json", folder{"this.json": string(text)}.read)
		if err != nil {
			continue
		}
		for range 20 {
			var body strings.Builder
			chance(100).write(&body, 4)
			v, ok := compareWithLibrary(t, s, []byte(body.String()))
			switch {
			case ok && v.surely:
				sure++
				fallthrough
			case ok && v.fits:
				fits++
			case ok:
				not++
			}
		}
	}
	t.Logf("%d fit, %d of them surely; %d do not", fits, sure, not)
	if sure < fits/2 || not < fits/4 {
		t.Errorf("%d fit, %d of them surely, and %d do not, want more than half of them, and enough that do not", fits, sure, not)
	}
}

// That something fits is no reason to take more steps for it than before.
func TestWhatFitsIsNotTooComplexByAccident(t *testing.T) {
	v, err := folder{"twice.json": `{"type":"object","properties":{"a":{"allOf":[{"$ref":"#"},{"$ref":"#"}]}}}`}.validation("twice.json")
	if err != nil {
		t.Fatal(err)
	}
	nested := func(levels int) string { return strings.Repeat(`{"a":`, levels) + "{}" + strings.Repeat("}", levels) }
	check(t, v.Check(request("POST /", nested(5), isJSONType)), "", "")
	check(t, v.Check(request("POST /", nested(40), isJSONType)), exchange.BodyTooComplex, "")
}

// Alternatives and lists of rules go over a value again, which a library that
// has made something of it need not.
func TestALargeTextIsNotGoneOverForEver(t *testing.T) {
	s := schemaOf(t, `{"properties":{"a":{"allOf":[{"$ref":"#"},{"$ref":"#"}]}}}`)
	for text, want := range map[string]bool{"": true, strings.Repeat("x", 1<<20): false} {
		body := strings.Repeat(`{"a":`, 8) + `"` + text + `"` + strings.Repeat("}", 8)
		if got := s.surely([]byte(body), 18); got != want {
			t.Errorf("surely %v of %d bytes, want %v", got, len(body), want)
		}
	}
}

// But for format, whose functions want a string, and expressions, whose pool
// the race detector empties.
func TestSurelyDoesNotAllocate(t *testing.T) {
	s := schemaOf(t, `{
		"type": "object", "required": ["id"], "additionalProperties": {"type": "null"},
		"properties": {"id": {"type": "string", "maxLength": 9}, "of": {"enum": ["a", 1, true]}, "n": {"minimum": 0.5, "multipleOf": 0.01},
			"list": {"items": {"oneOf": [{"type": "integer"}, {"$ref": "#"}]}, "minItems": 1}}}`)
	body := []byte(`{"id":"o-1","of":1,"n":19.99,"list":[1,{"id":"o-2","of":"a"}],"none":null}`)
	if n := testing.AllocsPerRun(100, func() {
		if !s.surely(body, 20) {
			t.Error("surely false, want true")
		}
	}); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

// anOrder is a body of 1KiB.
func anOrder(id string) string {
	const line = `{"sku":"abcdefgh","quantity":12}`
	return `{"id":"` + id + `","email":"somebody@example.com","state":"open","lines":[` + strings.Repeat(line+",", 28) + line + `]}`
}

// BenchmarkSchema checks a body of 1KiB, in memory as after an earlier policy.
func BenchmarkSchema(b *testing.B) { benchmarkHeld(b, "order-1234") }

// BenchmarkSchemaByTheLibrary is for what is not told at once.
func BenchmarkSchemaByTheLibrary(b *testing.B) { benchmarkHeld(b, `order\u002d1234`) }

func benchmarkHeld(b *testing.B, id string) {
	v := reading(b, func(c *Config) { c.JSONSchema = "order.json" })
	r := request("POST /", anOrder(id), isJSONType)
	b.SetBytes(r.ContentLength)
	b.ReportAllocs()
	for b.Loop() {
		if err := v.Check(r); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSchemaRead reads the body into memory, too, and ends the request.
func BenchmarkSchemaRead(b *testing.B) {
	v := reading(b, func(c *Config) { c.JSONSchema = "order.json" })
	text := anOrder("order-1234")
	first, body := request("POST /", text, isJSONType), strings.NewReader(text)
	b.ReportAllocs()
	for b.Loop() {
		ctx, end := context.WithCancel(first.Context())
		r := first.WithContext(ctx)
		body.Reset(text)
		r.Body = io.NopCloser(body)
		if err := v.Check(r); err != nil {
			b.Fatal(err)
		}
		end()
	}
}

func BenchmarkSchemaAtOnce(b *testing.B) {
	v := reading(b, func(c *Config) { c.JSONSchema = "order.json" })
	b.ReportAllocs()
	b.SetParallelism(2)
	b.RunParallel(func(pb *testing.PB) {
		r := request("POST /", anOrder("order-1234"), isJSONType)
		for pb.Next() {
			if err := v.Check(r); err != nil {
				b.Error(err)
			}
		}
	})
}
