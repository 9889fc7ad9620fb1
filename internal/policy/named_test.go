package policy

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// Files that a schema refers to are part of the policy: read with it, watched,
// and told when they change. None of them is outside of its folder.
func TestFilesThatASchemaRefersTo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "policy")
	write := func(name, text string) {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	link := func(to, name string) {
		t.Helper()
		_ = os.Remove(filepath.Join(dir, name))
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	write("sidecar.yaml", head+`
policies: {validation: {order: {jsonSchema: schemas/order.json}}}
routes: [{name: all, upstream: orders, use: {validation: order}}]
`)
	write("schemas/order.json", `{"$ref": "../common.json"}`)
	write("..1/common.json", `{"type": "object"}`) // as Kubernetes mounts a ConfigMap
	link("..1", "..data")
	link("..data/common.json", "common.json")
	write("../common.json", `{"type": "array"}`)

	path := filepath.Join(dir, "sidecar.yaml")
	w := NewWatcher()
	load := func() (*File, error) {
		return w.Load(func(o Options) (*File, error) { return Load(path, o) })
	}
	before, err := load()
	if err != nil {
		t.Fatal(err)
	}
	if data, err := before.ReadFile("common.json"); string(data) != `{"type": "object"}` || err != nil {
		t.Errorf("ReadFile(common.json) = %s, %v, want what it refers to", data, err)
	}
	if files := w.files(); !slices.Contains(files, filepath.Join(dir, "common.json")) {
		t.Errorf("watched are %v, want common.json among them", files)
	}
	write("..1/common.json", `{"type": "integer"}`)
	if _, same := w.look(); same {
		t.Error("a change of common.json is not seen")
	}
	after, err := load()
	if err != nil {
		t.Fatal(err)
	}
	if diff := Diff(before, before, after); !slices.Equal(diff, []string{"validation/order changed"}) {
		t.Errorf("Diff = %q, want the policy whose file has changed", diff)
	}

	const outside = "refers to common.json, which cannot be read: must be in the folder of the policy"
	for _, to := range []string{"../common.json", filepath.Join(filepath.Dir(dir), "common.json"), "/dev/null"} {
		link(to, "common.json")
		wantProblem(t, path, outside)
	}
	if _, err := load(); err == nil {
		t.Error("a link that leads out of the folder is followed")
	}
	link("..data/common.json", "common.json")
	if _, same := w.look(); same {
		t.Error("that the link was mended is not seen")
	}
	link("common.json", "common.json")
	wantProblem(t, path, "refers to common.json, which cannot be read: ")
	link("../..", "schemas/up")
	write("schemas/order.json", `{"$ref": "up/common.json"}`)
	wantProblem(t, path, "refers to schemas/up/common.json, which cannot be read: must be in the folder of the policy")
}
