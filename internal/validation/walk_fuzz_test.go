package validation

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// dice choose by the bytes that the fuzzer gives; when they are used up, always
// the first.
type dice struct{ data []byte }

func (d *dice) roll(n int) int {
	if len(d.data) == 0 {
		return 0
	}
	c := d.data[0]
	d.data = d.data[1:]
	return int(c) % n
}

func choose[T any](d *dice, all ...T) T { return all[d.roll(len(all))] }

func some[T any](d *dice, one func() T) (all []T) {
	for range d.roll(4) {
		all = append(all, one())
	}
	return all
}

// number is one as JSON has it, ordinary or odd.
func (d *dice) number() json.Number {
	return choose[json.Number](d, "1", "0", "-1", "2", "3", "-0", "1.0", "1.5", "-2.50", "0.1", "10", "1e0", "1E1", "10e-1", "0.30",
		"999999999999999999", "1000000000000000000", "-9223372036854775808", "12345678901234567890123", "0.000000000000000001", "0.0000000000000000001")
}

func (d *dice) name() string { return choose(d, "a", "b", "c", "é", "d/") }

func (d *dice) word() string {
	return choose(d, "", "a", "ab", "abc", "éa", "2024-01-02", "a@b.cd", "日本語", "a\nb", `"`, "\\", "\U0001F600", "1.2.3.4")
}

func (d *dice) constant() any {
	return choose(d, func() any { return d.word() }, func() any { return d.number() }, func() any { return nil }, func() any { return d.roll(2) == 0 },
		func() any { return []any{d.number()} }, func() any { return map[string]any{} })()
}

// schema is one of a few keywords; refs are to those under $defs.
func (d *dice) schema(depth int) any {
	if depth == 0 {
		return choose[any](d, true, map[string]any{"$ref": fmt.Sprintf("#/$defs/%d", d.roll(3))}, false, map[string]any{"type": "string"})
	}
	next := func() any { return d.schema(depth - 1) }
	members := func() any {
		m := map[string]any{}
		for range 1 + d.roll(3) {
			m[d.name()] = next()
		}
		return m
	}
	list := func() any { return append(some(d, next), next()) }
	count := func() any { return d.roll(4) }
	number := func() any { return d.number() }
	keywords := []struct {
		name  string
		value func() any
	}{
		{"type", func() any {
			return choose[any](d, "object", "array", "string", "number", "integer", "boolean", "null", []any{"string", "integer"}, []any{"number", "integer", "null"})
		}},
		{"properties", members},
		{"additionalProperties", next},
		{"properties", members},
		{"items", next},
		{"allOf", list},
		{"anyOf", list},
		{"oneOf", list},
		{"not", next},
		{"required", func() any { return choose(d, []any{"a"}, []any{"b", "c"}, []any{}, []any{"é"}) }},
		{"patternProperties", func() any { return map[string]any{choose(d, "^a", ".", "é|/"): next()} }},
		{"minProperties", count},
		{"maxProperties", count},
		{"minItems", count},
		{"maxItems", count},
		{"minLength", count},
		{"maxLength", count},
		{"minimum", number},
		{"maximum", number},
		{"exclusiveMinimum", number},
		{"exclusiveMaximum", number},
		{"multipleOf", func() any { return choose[json.Number](d, "1", "2", "0.1", "0.01", "1.5", "3", "1e-30") }},
		{"pattern", func() any { return choose(d, "^a", "b$", "^.{2}$", "é", "^\\p{L}+$") }},
		{"format", func() any { return choose(d, "date", "email", "ipv4", "nonsense", "uri", "regex", "duration") }},
		{"enum", func() any { return append(some(d, d.constant), d.constant()) }},
		{"const", d.constant},
		{"if", next},
		{"then", next},
		{"else", next},
		{"prefixItems", list},
		{"title", func() any { return d.word() }},
		{"$ref", func() any { return fmt.Sprintf("#/$defs/%d", d.roll(3)) }},
		{"contains", next},
		{"uniqueItems", func() any { return true }},
		{"propertyNames", next},
		{"unevaluatedProperties", next},
		{"dependentRequired", func() any { return map[string]any{"a": []any{"b"}} }},
		{"additionalItems", next},
	}
	s := map[string]any{}
	for range d.roll(5) {
		k := keywords[d.roll(len(keywords))]
		s[k.name] = k.value()
	}
	return s
}

// document is a schema with what it may refer to.
func (d *dice) document() map[string]any {
	doc, ok := d.schema(3).(map[string]any)
	if !ok {
		doc = map[string]any{}
	}
	if d.roll(3) > 0 {
		doc["$ref"] = "#/$defs/0"
	}
	doc["$defs"] = map[string]any{"0": d.schema(3), "1": d.schema(2), "2": d.schema(2)}
	doc["$schema"] = choose(d, "https://json-schema.org/draft/2020-12/schema", "https://json-schema.org/draft/2019-09/schema",
		"http://json-schema.org/draft-07/schema#", "http://json-schema.org/draft-06/schema#", "http://json-schema.org/draft-04/schema#")
	return doc
}

// write writes a JSON text, with white space and escapes here and there.
func (d *dice) write(b *strings.Builder, depth int) {
	space := func() { b.WriteString(choose(d, "", "", "", " ", "\n\t")) }
	quote := func(s string) {
		if d.roll(8) == 7 {
			for _, c := range s {
				if c < 0x10000 {
					fmt.Fprintf(b, `\u%04x`, c)
				}
			}
			return
		}
		text, _ := json.Marshal(s)
		b.Write(text[1 : len(text)-1])
	}
	space()
	defer space()
	kind := d.roll(8)
	if depth == 0 {
		kind %= 5
	}
	switch kind {
	case 0:
		b.WriteString(string(d.number()))
	case 1:
		b.WriteByte('"')
		quote(d.word())
		b.WriteByte('"')
	case 2:
		b.WriteString(choose(d, "true", "false"))
	case 3:
		b.WriteString("null")
	case 4:
		b.WriteString(choose(d, "{}", "[]", "[ ]", "{ }"))
	case 5:
		b.WriteByte('[')
		for i := range d.roll(4) {
			if i > 0 {
				b.WriteByte(',')
			}
			d.write(b, depth-1)
		}
		space()
		b.WriteByte(']')
	default:
		b.WriteByte('{')
		for i := range d.roll(4) {
			if i > 0 {
				b.WriteByte(',')
			}
			space()
			b.WriteByte('"')
			quote(d.name())
			b.WriteByte('"')
			space()
			b.WriteByte(':')
			d.write(b, depth-1)
		}
		b.WriteByte('}')
	}
}

// verdict is what the library and we say of a body.
type verdict struct{ fits, surely bool }

// compareWithLibrary fails t where we are sure and the library is not of our
// opinion, or takes more steps than we count. It is not ok if the body is one
// that neither is asked about.
func compareWithLibrary(t *testing.T, s *schema, body []byte) (v verdict, ok bool) {
	t.Helper()
	scan := scanner{data: body, depth: 64, tokens: 1000, unique: true}
	if scan.scan() != nil {
		return v, false
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		t.Fatalf("%q passes the scanner: %v", body, err)
	}
	w := s.walk(body, scan.count)
	before := w.steps
	v.surely = w.sure(s)

	c, err := s.copies.take()
	if err != nil {
		t.Fatal(err)
	}
	defer s.copies.put(c)
	c.meter = meter{left: 1 << 40}
	v.fits = c.schemas[s.pointer].not.Validate(value) != nil
	if v.surely && !v.fits {
		t.Fatalf("%q surely fits, the library says that it does not", body)
	}
	took, counted := 1<<40-c.meter.left, before-w.steps+2*int64(1+scan.count)
	if v.surely && took > counted {
		t.Fatalf("%q: the library takes %d steps, %d are counted", body, took, counted)
	}
	return v, true
}

// Whatever the schema and the body: what surely fits, fits.
func FuzzSurely(f *testing.F) {
	for i := range 40 {
		f.Add(bytes.Repeat([]byte{byte(i), byte(3 * i), byte(7*i + 1), 2, 1}, 60), bytes.Repeat([]byte{byte(i), 6, byte(5 * i), 1}, 20))
	}
	f.Fuzz(func(t *testing.T, forSchema, forBodies []byte) {
		text, err := json.Marshal((&dice{forSchema}).document())
		if err != nil {
			t.Fatal(err)
		}
		s, err := loadSchema("this.json", func(string) ([]byte, error) { return text, nil })
		if err != nil {
			return // the draft is of another opinion
		}
		d := &dice{forBodies}
		for range 10 {
			var body strings.Builder
			d.write(&body, 4)
			compareWithLibrary(t, s, []byte(body.String()))
		}
	})
}

// Whatever the texts are.
func FuzzSurelyTexts(f *testing.F) {
	for _, row := range surely {
		f.Add(row.schema, row.body)
	}
	f.Fuzz(func(t *testing.T, text, body string) {
		s, err := loadSchema("this.json", folder{"this.json": text}.read)
		if err != nil {
			return
		}
		compareWithLibrary(t, s, []byte(body))
	})
}
