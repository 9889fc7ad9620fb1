// Package golden holds files that are generated, and kept in the repository,
// to what they are generated from. Only tests import it: the test that says a
// file is not current is what writes it.
package golden

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write what is found, to be read before it is believed")

// Update reports whether tests shall write what they find, not compare it.
func Update() bool { return *update }

// File fails t if the file at path does not hold text; with -update it writes
// it.
func File(t *testing.T, path, text string) {
	t.Helper()
	if Update() {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	held, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v: make docs writes it", err)
	}
	lines := func(text string) []string { return slices.Collect(strings.Lines(text)) }
	if diff := cmp.Diff(lines(string(held)), lines(text)); diff != "" {
		t.Errorf("%s is not current; make docs writes it (-held +current):\n%s", path, diff)
	}
}
