package policy

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"go.uber.org/goleak"

	"sidecar/internal/golden"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Each archive in testdata holds a policy, the files that it names, and the
// problems or, for a file without any, the warnings that are expected. Its
// comment may set variables (env NAME=value), and say offline.
func TestFiles(t *testing.T) {
	names, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatalf("no testdata: %v", err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			section, got := outcome(t, a)
			if golden.Update() {
				keep(t, name, a, section, got)
			}
			if diff := cmp.Diff(content(a, section), got); diff != "" {
				t.Errorf("%s differ (-want +got):\n%s", section, diff)
			}
		})
	}
}

// outcome parses the policy of a, and returns what it gives and the name of
// the section where that stands.
func outcome(t *testing.T, a *txtar.Archive) (section, text string) {
	t.Helper()
	f, err := Parse("sidecar.yaml", []byte(content(a, "sidecar.yaml")), surroundings(a))
	if err != nil {
		if _, ok := err.(Problems); !ok {
			t.Fatalf("Parse: got a %T, want Problems: %v", err, err)
		}
		return "problems", err.Error() + "\n"
	}
	if ws := f.Warnings(); len(ws) > 0 {
		return "warnings", ws.Error() + "\n"
	}
	return "warnings", ""
}

func surroundings(a *txtar.Archive) Options {
	env := map[string]string{}
	var o Options
	for line := range strings.Lines(string(a.Comment)) {
		line = strings.TrimSpace(line)
		if rest, ok := strings.CutPrefix(line, "env "); ok {
			name, value, _ := strings.Cut(rest, "=")
			env[name] = value
		}
		o.Offline = o.Offline || line == "offline"
	}
	o.LookupEnv = func(name string) (string, bool) {
		value, ok := env[name]
		return value, ok
	}
	o.ReadFile = func(path string) ([]byte, error) {
		for _, f := range a.Files {
			if f.Name == path {
				return f.Data, nil
			}
		}
		return nil, &fs.PathError{Op: "open", Path: path, Err: syscall.ENOENT}
	}
	return o
}

func content(a *txtar.Archive, name string) string {
	for _, f := range a.Files {
		if f.Name == name {
			return string(f.Data)
		}
	}
	return ""
}

func keep(t *testing.T, name string, a *txtar.Archive, section, text string) {
	t.Helper()
	var files []txtar.File
	for _, f := range a.Files {
		if f.Name != "problems" && f.Name != "warnings" {
			files = append(files, f)
		}
	}
	a.Files = append(files, txtar.File{Name: section, Data: []byte(text)})
	if err := os.WriteFile(name, txtar.Format(a), 0o644); err != nil {
		t.Fatal(err)
	}
}
