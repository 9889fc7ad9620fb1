package policy

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/santhosh-tekuri/jsonschema/v6"
	errorkind "github.com/santhosh-tekuri/jsonschema/v6/kind"
	"gopkg.in/yaml.v3"

	"sidecar/internal/exchange"
	"sidecar/internal/faults"
	"sidecar/internal/ratelimit"
	"sidecar/internal/retry"
)

// Every policy file that we hand out names the schema, and is one to it.
func TestSchemaTakesWhatIsHandedOut(t *testing.T) {
	var files []string
	for _, pattern := range []string{"configs/*.yaml", "deploy/k8s/*/sidecar.yaml", "deploy/k8s/*/*/sidecar.yaml"} {
		found, err := filepath.Glob("../../" + pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("no files %s: %v", pattern, err)
		}
		files = append(files, found...)
	}
	schema := compiled(t)
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		line, _, _ := strings.Cut(string(data), "\n")
		place, ok := strings.CutPrefix(line, "# yaml-language-server: $schema=")
		if got := filepath.Join(filepath.Dir(file), place); !ok || got != filepath.FromSlash(schemaFile) {
			t.Errorf("%s begins with %q, want the way to %s", file, line, schemaFile)
		}
		if err := schema.Validate(instance(t, data)); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// What is wrong in one place, Parse and the schema both see there.
func TestSchemaAgreesWithParse(t *testing.T) {
	names, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatalf("no testdata: %v", err)
	}
	schema, seen := compiled(t), 0
	for _, name := range names {
		a, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		data := []byte(content(a, "sidecar.yaml"))
		_, err = Parse("sidecar.yaml", data, surroundings(a))
		if err == nil {
			if err := schema.Validate(instance(t, data)); err != nil {
				t.Errorf("%s is a good policy, and to the schema it is not: %v", name, err)
			}
			continue
		}
		var found map[string]bool
		for _, p := range err.(Problems) {
			if !inOnePlace.MatchString(p.Text) || onlyForParse.MatchString(p.Text) {
				continue
			}
			if found == nil {
				found = disliked(schema, instance(t, data))
			}
			if seen++; !found[p.Path] {
				t.Errorf("%s: the schema takes %s, of which Parse says: %s", name, p.Path, p.Text)
			}
		}
	}
	if seen < 50 {
		t.Errorf("saw %d problems, want 50 at least: do their texts still begin as inOnePlace says?", seen)
	}
}

var (
	inOnePlace = regexp.MustCompile(`^(unknown key|must be ([0-9.]+ to [0-9.]+, got [-0-9.]+$|one of \[|a (mapping|list|duration|size|rate|number|whole number|status of)|said|(name|have) at least one (upstream|endpoint|issuer|policy|route)|true or false|v1))`)

	// A schema does not see what stands for a value that it would take, nor
	// how a number is written.
	onlyForParse = regexp.MustCompile(`\$\{|got (0x10|010|1e3|99999999999999999999)$`)
)

// Each pattern takes what the scalar itself takes.
func TestPatternsAgreeWithScalars(t *testing.T) {
	duration := func(text string) error {
		if d, err := time.ParseDuration(text); err != nil || d < 0 {
			return fmt.Errorf("not a duration: %q", text)
		}
		return nil
	}
	tests := map[string]struct {
		read    func(text string) error
		samples string
	}{
		"duration":  {duration, "0 5s 1m30s 1.5h .5s 5.s 100µs 10 5x s -5s +5s 1_0ms 5s5"},
		"size":      {func(text string) error { return new(exchange.Size).UnmarshalText([]byte(text)) }, "0 512 512B 64KiB 10MiB 1GiB 5MB 5Ki -1 1.5KiB KiB 1TiB"},
		"bandwidth": {func(text string) error { return new(faults.Bandwidth).UnmarshalText([]byte(text)) }, "1/s 64KiB/s 064B/s 1GiB/s 0/s 64KiB 64kB/s /s -1/s 1.5KiB/s 64KiB/m"},
		"rate":      {func(text string) error { return new(ratelimit.Rate).UnmarshalText([]byte(text)) }, "1/s 50/s 100/m 1000/h 1000000/s 050/s 50 0/s 1000001/s 9999999/s 5/d 5/ /s -5/s 5.5/s 50/second"},
		"patience":  {func(text string) error { return new(retry.HedgeAfter).UnmarshalText([]byte(text)) }, "0 5s 100ms 1.5h p50 p95 p99 p49 p100 p9 p 95 P95 p95.5 -5s 5 5x"},
		"condition": {func(text string) error { return new(exchange.Condition).UnmarshalText([]byte(text)) }, "400 503 599 5xx gateway-error retriable-4xx connect-failure reset-before-request refused-stream refused reset timeout protocol client 399 600 050 4xx grpc-cancelled grpc-unknown grpc-deadline-exceeded grpc-resource-exhausted grpc-aborted grpc-internal grpc-unavailable grpc-data-loss grpc-nothing grpc-ok"},
	}
	for scalar, tt := range tests {
		pattern := regexp.MustCompile(patterns[scalar])
		for _, sample := range strings.Fields(tt.samples) {
			if got, err := pattern.MatchString(sample), tt.read(sample); got != (err == nil) {
				t.Errorf("the pattern of a %s takes %q: %t, want as it is read: %v", scalar, sample, got, err)
			}
		}
	}
}

func compiled(t testing.TB) *jsonschema.Schema {
	t.Helper()
	file, err := os.Open(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	doc, err := jsonschema.UnmarshalJSON(file)
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("sidecar.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	return c.MustCompile("sidecar.schema.json")
}

// instance returns the document in data as an editor sees it.
func instance(t testing.TB, data []byte) any {
	t.Helper()
	var n yaml.Node
	if err := yaml.NewDecoder(bytes.NewReader(data)).Decode(&n); err != nil {
		t.Fatal(err)
	}
	return plain(n.Content[0], 0)
}

// deep is where an alias that stands for itself ends.
const deep = 50

func plain(n *yaml.Node, depth int) any {
	if depth++; depth > deep {
		return nil
	}
	switch n.Kind {
	case yaml.AliasNode:
		return plain(n.Alias, depth)
	case yaml.MappingNode:
		m := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			m[n.Content[i].Value] = plain(n.Content[i+1], depth)
		}
		return m
	case yaml.SequenceNode:
		list := make([]any, len(n.Content))
		for i, item := range n.Content {
			list[i] = plain(item, depth)
		}
		return list
	}
	var v any
	if err := n.Decode(&v); err != nil {
		return n.Value
	}
	switch x := v.(type) {
	case time.Time: // YAML 1.2 knows none
		return n.Value
	case float64:
		if math.IsInf(x, 0) || math.IsNaN(x) { // nor does JSON
			return n.Value
		}
	}
	return v
}

// disliked returns the paths, as Parse writes them, that the schema has
// something against.
func disliked(schema *jsonschema.Schema, doc any) map[string]bool {
	paths := map[string]bool{}
	var collect func(*jsonschema.ValidationError)
	collect = func(e *jsonschema.ValidationError) {
		at := pathOf(doc, e.InstanceLocation)
		paths[at] = true
		var keys []string
		switch k := e.ErrorKind.(type) {
		case *errorkind.AdditionalProperties:
			keys = k.Properties
		case *errorkind.Required:
			keys = k.Missing
		}
		for _, key := range keys {
			paths[join(at, segment(key))] = true
		}
		for _, cause := range e.Causes {
			collect(cause)
		}
	}
	if e, ok := errors.AsType[*jsonschema.ValidationError](schema.Validate(doc)); ok {
		collect(e)
	}
	return paths
}

// pathOf returns the path of a place in doc; routes go by their names.
func pathOf(doc any, location []string) (path string) {
	for _, part := range location {
		switch at := doc.(type) {
		case map[string]any:
			doc, path = at[part], join(path, segment(part))
		case []any:
			i, _ := strconv.Atoi(part)
			doc = at[i]
			if m, ok := doc.(map[string]any); ok && path == "routes" {
				if name, _ := m["name"].(string); checkName(name, false) == "" {
					part = name
				}
			}
			path += "[" + part + "]"
		}
	}
	return path
}
