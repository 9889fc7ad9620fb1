package policy

import (
	"cmp"
	"encoding/json"
	"strings"
	"testing"

	"sidecar/internal/golden"
)

const schemaFile = "../../configs/sidecar.schema.json"

// The schema file is what the walk goes by. The schema takes every
// file that Parse takes; it finds wrong keys, sorts, words and numbers, and
// leaves what is between keys to Parse.
func TestSchemaIsCurrent(t *testing.T) {
	var text strings.Builder
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(newModel(t).schema()); err != nil {
		t.Fatal(err)
	}
	golden.File(t, schemaFile, text.String())
}

// object is a JSON object.
type object = map[string]any

// definitions are the sorts of scalars. What holds a variable is not known.
var definitions = object{
	"variable":  object{"type": "string", "pattern": `\$\{`},
	"text":      object{"type": []string{"string", "number", "boolean"}},
	"boolean":   orVariable(object{"type": "boolean"}),
	"integer":   orVariable(object{"type": "integer"}),
	"number":    orVariable(object{"type": "number"}),
	"duration":  orVariable(pattern("duration"), object{"const": 0}),
	"size":      orVariable(pattern("size"), object{"type": "integer", "minimum": 0}),
	"rate":      orVariable(pattern("rate")),
	"bandwidth": orVariable(pattern("bandwidth")),
	"patience":  orVariable(pattern("patience"), object{"const": 0}),
	"condition": orVariable(pattern("condition"), object{"type": "integer", "minimum": 400, "maximum": 599}),
}

// patterns are how scalars of our own are written.
var patterns = map[string]string{
	"duration":  `^\+?(0|(([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$`,
	"size":      `^[0-9]+(B|KiB|MiB|GiB)?$`,
	"bandwidth": `^0*[1-9][0-9]*(B|KiB|MiB|GiB)?/s$`,
	"rate":      `^\+?0*([1-9][0-9]{0,5}|1000000)/[smh]$`,
	"patience":  `^(p[5-9][0-9]|\+?(0|(([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+))$`,
	"condition": `^([45][0-9][0-9]|5xx|gateway-error|retriable-4xx|connect-failure|reset-before-request|refused-stream|reset|timeout|protocol` +
		`|grpc-(cancelled|unknown|deadline-exceeded|resource-exhausted|aborted|internal|unavailable|data-loss))$`,
}

func pattern(scalar string) object { return object{"type": "string", "pattern": patterns[scalar]} }

func orVariable(schemas ...object) object {
	return object{"anyOf": append(schemas, reference("variable"))}
}

func reference(name string) object { return object{"$ref": "#/$defs/" + name} }

// schema returns the JSON Schema of the file.
func (m *model) schema() object {
	defs := object{}
	for name, d := range definitions {
		defs[name] = d
	}
	for _, s := range m.sections[1:] {
		defs[s.definition()] = s.schema()
	}
	root := m.sections[0].schema()
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "The policy file of sidecar"
	root["$defs"] = defs
	return root
}

// definition is the name of s in $defs.
func (s *section) definition() string { return strings.ReplaceAll(s.path, "[0]", "") }

func (s *section) schema() object {
	properties, required := object{}, []string{}
	for _, k := range s.keys {
		value := k.value.schema()
		if doc := cmp.Or(k.doc, s.speaksOf(k)); doc != "" {
			value["description"] = doc
		}
		if k.fallback != nil {
			value["default"] = k.fallback
		}
		properties[k.name] = value
		if k.required {
			required = append(required, k.name)
			value[k.value.least()] = 1
		}
	}
	schema := object{"type": "object", "properties": properties, "additionalProperties": false}
	if s.doc != "" {
		schema["description"] = s.doc
	}
	if len(required) > 0 {
		schema["required"] = required
	}
	return schema
}

// speaksOf returns the comment of s if it speaks of k.
func (s *section) speaksOf(k key) string {
	if strings.Contains(s.doc, "`"+k.name+"`") {
		return s.doc
	}
	return ""
}

// least is the keyword for how much there must be of what must not be empty.
func (k kind) least() string {
	switch k.sort {
	case isList:
		return "minItems"
	case isNames:
		return "minProperties"
	}
	return "minLength"
}

func (k kind) schema() object {
	switch k.sort {
	case isSection:
		return reference(k.section.definition())
	case isReference:
		names := object{"type": "array", "items": reference("text"), "minItems": 1}
		if k.single {
			names["maxItems"] = 1
		}
		choices := []object{reference("text"), names}
		if k.section != nil {
			choices = append(choices, reference(k.section.definition()))
		}
		return object{"anyOf": choices}
	case isList:
		return object{"type": "array", "items": k.of.schema()}
	case isOneOrMore:
		return object{"anyOf": []object{k.of.schema(), {"type": "array", "items": k.of.schema()}}}
	case isMapping:
		return object{"type": "object", "additionalProperties": k.of.schema()}
	case isNames:
		return object{
			"type": "object", "additionalProperties": k.of.schema(),
			"propertyNames": object{"pattern": nameShape.String()},
		}
	}
	switch {
	case k.words != nil:
		return orVariable(object{"enum": k.words})
	case k.limits != nil:
		return orVariable(object{"type": k.scalar, "minimum": json.Number(k.limits[0]), "maximum": json.Number(k.limits[1])})
	}
	return reference(k.scalar)
}
