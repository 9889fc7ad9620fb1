package validation

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sidecar/internal/exchange"
)

// folder has files as a policy reads them.
type folder map[string]string

func (f folder) read(name string) ([]byte, error) {
	text, ok := f[name]
	if !ok {
		return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	return []byte(text), nil
}

// validation returns the policy of which the schema is that in the file called name.
func (f folder) validation(name string) (*Validation, error) {
	c := Config{Line: 7, JSONSchema: name, MaxBody: 1 << 20, MaxBuffered: 8 << 20}
	return New("api", c, f.read, NewBuffers(c))
}

func TestASchemaRefersToFiles(t *testing.T) {
	files := folder{
		"schemas/order.json":       `{"properties": {"id": {"$ref": "types/id.json"}, "total": {"$ref": "../common.json#/$defs/money"}, "next": {"$ref": "order.json"}}}`,
		"schemas/types/id.json":    `{"type": "integer", "$ref": "../../common.json#/$defs/positive"}`,
		"common.json":              `{"$defs": {"money": {"$ref": "#/$defs/positive"}, "positive": {"minimum": 1}}}`,
		"old.json":                 `{"properties": {"id": {"$ref": "draft%204.json"}}}`,
		"draft 4.json":             `{"$schema": "http://json-schema.org/draft-04/schema#", "minimum": 1, "exclusiveMinimum": true}`,
		"named.json":               `{"$id": "orders/named.json", "properties": {"id": {"$ref": "id.json"}}}`,
		"orders/id.json":           `{"type": "integer"}`,
		"/etc/schemas/order.json":  `{"properties": {"id": {"$ref": "id.json"}}}`,
		"/etc/schemas/id.json":     `{"type": "integer"}`,
		"inside.json":              `{"properties": {"id": {"$ref": "https://example.com/id"}}, "$defs": {"id": {"$id": "https://example.com/id", "type": "integer"}}}`,
		"names-that-are-data.json": `{"const": {"$ref": "nowhere.json", "$schema": "nowhere"}}`,
	}
	const ok = ""
	tests := []struct{ schema, body, want string }{
		{"schemas/order.json", `{"id": 1, "total": 1, "next": {"id": 2}}`, ok},
		{"schemas/order.json", `{"id": "1"}`, "/id: must be of type integer"},
		{"schemas/order.json", `{"id": 0}`, "/id: must be at least 1"},
		{"schemas/order.json", `{"next": {"next": {"total": 0}}}`, "/next/next/total: must be at least 1"},
		{"./schemas/../schemas/order.json", `{"id": "1"}`, "/id: must be of type integer"},
		{"old.json", `{"id": 1}`, "/id: must be more than 1"},
		{"named.json", `{"id": "1"}`, "/id: must be of type integer"},
		{"/etc/schemas/order.json", `{"id": "1"}`, "/id: must be of type integer"},
		{"inside.json", `{"id": "1"}`, "/id: must be of type integer"},
	}
	for _, tt := range tests {
		t.Run(tt.schema+" "+tt.body, func(t *testing.T) {
			files["./schemas/../schemas/order.json"] = files["schemas/order.json"]
			v, err := files.validation(tt.schema)
			if err != nil {
				t.Fatal(err)
			}
			reason, want := exchange.Reason(""), []string(nil)
			if tt.want != "" {
				reason, want = exchange.SchemaViolation, []string{tt.want}
			}
			f := refused(t, v.Check(request("POST /", tt.body, isJSONType)))
			if f != nil && f.Reason != reason || f == nil && reason != "" {
				t.Errorf("refused with %v, want %q", f, reason)
			}
			if diff := cmp.Diff(want, told(f)); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
		})
	}
	if _, err := files.validation("names-that-are-data.json"); err != nil {
		t.Errorf("New() = %v, want data taken for data", err)
	}
}

func TestASchemaRefersToNothingElse(t *testing.T) {
	const place = "must hold a JSON Schema: $ref must be to a file in the policy's folder, as seen from this file or its $id, got "
	tests := []struct{ name, ref, want string }{
		{"a server", "https://example.com/id.json", place + `"https://example.com/id.json"`},
		{"a server, with its $id", `id.json", "$id": "http://example.com/order.json`, place + `"http://example.com/id.json"`},
		{"a host", "//example.com/id.json", place + `"example.com/id.json"`},
		{"a file URL", "file:///etc/passwd", place + `"file:///etc/passwd"`},
		{"from the root", "/etc/passwd", place + `"/etc/passwd"`},
		{"above the folder", "../../id.json", place + `"/id.json"`},
		{"far above the folder", "../../../../id.json", place + `"/id.json"`},
		{"above the folder, encoded", "..%2f..%2fid.json", place + `"/here/schemas/..%2f..%2fid.json"`},
		{"a query", "id.json?x=1", place + `"/here/schemas/id.json?x=1"`},
		{"nothing", "nowhere.json", "must hold a JSON Schema: schemas/nowhere.json: file does not exist"},
		{"no JSON", "words.json", "must hold a JSON Schema: schemas/words.json must be JSON: invalid character 'w' looking for beginning of value"},
		{"no schema", "list.json", "must hold a JSON Schema: schemas/list.json must be a JSON Schema: an object, or a boolean"},
		{"a wrong schema", "wrong.json", "must hold a JSON Schema: at '/type': value must be one of 'array', 'boolean', 'integer', 'null', 'number', 'object', 'string'"},
		{"no such place in it", "id.json#/$defs/x", `must hold a JSON Schema: json-pointer in "schemas/id.json#/$defs/x" not found`},
		{"a draft of one's own", "own.json", `must hold a JSON Schema: $schema must be draft-04, draft-06, draft-07, 2019-09 or 2020-12, got "schemas/id.json"`},
		{"very many", "many0.json", "must hold a JSON Schema: files must be at most 64 besides the first, schemas/many64.json is one more"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			files := folder{
				"schemas/order.json": `{"$ref": "` + tt.ref + `"}`,
				"schemas/id.json":    "true", "id.json": "true", "/etc/passwd": "true",
				"schemas/words.json": "words",
				"schemas/list.json":  "[]",
				"schemas/wrong.json": `{"type": "sting"}`,
				"schemas/own.json":   `{"$schema": "schema:///here/schemas/id.json"}`,
			}
			for i := range 100 {
				files[fmt.Sprintf("schemas/many%d.json", i)] = fmt.Sprintf(`{"$ref": "many%d.json"}`, i+1)
			}
			got := ""
			if _, err := files.validation("schemas/order.json"); err != nil {
				got = err.Error()
			}
			if got != "jsonSchema: "+tt.want {
				t.Errorf("New() = %s\nwant jsonSchema: %s", got, tt.want)
			}
		})
	}
	files := folder{"../schemas/order.json": `{"$ref": "id.json"}`, "../schemas/id.json": "true"}
	if _, err := files.validation("../schemas/order.json"); err == nil {
		t.Error("a schema above the policy's folder refers to a file there, want that refused")
	}
}

// Files make a circle as schemas in one file do, and cost no more than they.
func TestACircleOfFilesIsBounded(t *testing.T) {
	const doubling = `{"oneOf": [{"type": "number"}, {"type": "object", "properties": {"op": {"enum": ["+"]}, "a": {"$ref": %q}}}, {"type": "object", "properties": {"op": {"enum": ["*"]}, "a": {"$ref": %[1]q}}}]}`
	const draft4 = `{"$schema": "http://json-schema.org/draft-04/schema#", `
	tests := map[string]folder{
		"of one draft": {"a.json": fmt.Sprintf(doubling, "b.json"), "b.json": fmt.Sprintf(doubling, "a.json")},
		"of two":       {"a.json": fmt.Sprintf(doubling, "b.json"), "b.json": draft4 + fmt.Sprintf(doubling, "a.json")[1:]},
	}
	for name, files := range tests {
		t.Run(name, func(t *testing.T) {
			v, err := files.validation("a.json")
			if err != nil {
				t.Fatal(err)
			}
			check(t, v.Check(request("POST /", `{"op": "+", "a": {"op": "*", "a": 1}}`, isJSONType)), "", "")
			deep := strings.Repeat(`{"op":"+","a":`, 60) + `"x"` + strings.Repeat("}", 60)
			f := refused(t, v.Check(request("POST /", deep, isJSONType))) // or it takes hours
			if f == nil || f.Reason != exchange.BodyTooComplex && f.Reason != exchange.SchemaViolation {
				t.Errorf("Check() = %v, want it refused", f)
			}
		})
	}
	v, err := folder{"a.json": `{"$ref": "b.json"}`, "b.json": `{"$ref": "a.json"}`}.validation("a.json")
	if err != nil {
		t.Fatal(err)
	}
	check(t, v.Check(request("POST /", "1", isJSONType)), exchange.SchemaViolation, "")
}

func TestReferencesAreAllFilesThatCount(t *testing.T) {
	files := folder{
		"a.json": `{"$ref": "b.json", "const": {"$ref": "data.json"}, "properties": {"x": {"$ref": "c.json"}}}`,
		"b.json": `{"$ref": "a.json"}`, "c.json": "true", "data.json": "true", "other.json": "true",
	}
	var names []string
	(&Config{JSONSchema: "a.json"}).References(func(key, name string) ([]byte, error) {
		if key != "jsonSchema" {
			t.Errorf("key %q, want jsonSchema", key)
		}
		names = append(names, name)
		return files.read(name)
	})
	slices.Sort(names)
	if diff := cmp.Diff([]string{"a.json", "b.json", "c.json"}, names); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

// Whatever a reference says, what is read for it is named in one way only, and
// not above the policy's folder.
func FuzzReferences(f *testing.F) {
	for _, ref := range []string{
		"id.json", "../id.json", "../../id.json", "/etc/passwd", "//host/x", "schema:///root/etc/passwd", "schema:///here/../x", "schema://here/x",
		"%2e%2e/%2e%2e/x", "..%2f..%2fx", "x\\..\\y", "x?y#z", "file:///etc/passwd", "https://example.com/x", "a%00b", "./././x", "#/x", "schema:here/x",
	} {
		f.Add("schemas/order.json", ref)
	}
	f.Fuzz(func(t *testing.T, name, ref string) {
		text, err := json.Marshal(map[string]string{"$ref": ref})
		if err != nil {
			return
		}
		first := true
		_, _ = loadSchema(name, func(asked string) ([]byte, error) {
			if first {
				first = false
				return text, nil
			}
			if local := strings.TrimPrefix(asked, "/"); !fs.ValidPath(local) || path.Clean(asked) != asked {
				t.Errorf("%q refers to %q, and %q is read", name, ref, asked)
			}
			return []byte("true"), nil
		})
	})
}
