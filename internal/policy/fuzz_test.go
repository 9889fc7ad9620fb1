package policy

import (
	"path/filepath"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/rogpeppe/go-internal/txtar"

	"sidecar/internal/exchange"
)

// FuzzParse: no file makes the walk panic, and a file that is accepted is one
// to the schema too, and can be written down and read again.
func FuzzParse(f *testing.F) {
	names, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range names {
		a, err := txtar.ParseFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add([]byte(content(a, "sidecar.yaml")))
	}
	o := Options{
		LookupEnv: func(name string) (string, bool) { return "10 $" + name + "\n", len(name)%2 == 0 },
		ReadFile:  func(string) ([]byte, error) { return []byte("x"), nil },
	}
	schema := compiled(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Parse("fuzz.yaml", data, o)
		if err != nil {
			if len(err.(Problems)) == 0 {
				t.Fatal("Parse: got no file and no problem")
			}
			return
		}
		file.Warnings()
		if err := schema.Validate(instance(t, data)); err != nil {
			t.Fatalf("the schema does not take what Parse takes: %v", err)
		}
		written, err := file.Marshal()
		if err != nil {
			t.Fatalf("Marshal: %v", err)
		}
		again, err := Parse("fuzz.yaml", written, o)
		if err != nil {
			t.Fatalf("what Marshal wrote does not parse: %v\n%s", err, written)
		}
		if diff := cmp.Diff(file, again, sameFile); diff != "" {
			t.Fatalf("what Marshal wrote is another file (-want +got):\n%s\n%s", diff, written)
		}
		if diff := Diff(file, file, again); len(diff) > 0 {
			t.Fatalf("Diff of a file and itself = %q, want nothing", diff)
		}
	})
}

// sameFile compares all of two files but their lines and sources.
var sameFile = cmp.Options{
	cmpopts.EquateEmpty(),
	cmpopts.IgnoreUnexported(File{}),
	cmpopts.EquateComparable(Secret{}, exchange.Network{}),
	cmp.FilterPath(func(p cmp.Path) bool {
		field, ok := p.Last().(cmp.StructField)
		return ok && field.Name() == "Line" && field.Type() == reflect.TypeFor[int]()
	}, cmp.Ignore()),
}
