package policy

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"gopkg.in/yaml.v3"
)

// maxFile bounds the policy file and each file that it names.
const maxFile = 1 << 20

// Options say where a policy file finds its surroundings. The zero value is
// the process's own.
type Options struct {
	// LookupEnv finds variables. Default os.LookupEnv.
	LookupEnv func(name string) (string, bool)
	// ReadFile reads the policy file and those that it names. Default: from
	// the file system.
	ReadFile func(path string) ([]byte, error)
	// ReadInside reads a file that one of those refers to, and that must be in
	// folder. Default: ReadFile, where no link leads out of it.
	ReadInside func(folder, path string) ([]byte, error)
	// Offline: neither variables nor the files that the policy names are
	// read, and what depends on them is not checked. Such a File is good for
	// checking only.
	Offline bool
}

func (o Options) withDefaults() Options {
	if o.LookupEnv == nil {
		o.LookupEnv = os.LookupEnv
	}
	if o.ReadFile == nil {
		o.ReadFile = readFile
	}
	if o.ReadInside == nil {
		o.ReadInside = func(folder, path string) ([]byte, error) { return readInside(o.ReadFile, folder, path) }
	}
	return o
}

// readFile is os.ReadFile that stops where a file is too large.
// It waits for nobody: a pipe that no one writes to would else hold up every
// reload, and the end of the process.
func readFile(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	_ = f.SetReadDeadline(time.Now().Add(pipeTimeout)) // regular files have none, and need none
	return io.ReadAll(io.LimitReader(f, maxFile+1))
}

// pipeTimeout is how long a policy that comes through a pipe may take.
const pipeTimeout = 2 * time.Second

// Load reads the policy file at path. What is wrong with its content is
// returned as Problems, all of it; a file that cannot be read is another
// error.
func Load(path string, o Options) (*File, error) {
	data, err := o.withDefaults().ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the policy: %w", err)
	}
	return Parse(path, data, o)
}

// Parse reads a policy file with this name and content; the error is
// Problems. Files that the policy names are found from the folder of name.
func Parse(name string, data []byte, o Options) (*File, error) {
	w := newWalk(name, data, o)
	f := &File{source: w.source}
	if root := w.document(data); root != nil {
		v := reflect.ValueOf(f).Elem()
		setDefaults(v)
		if w.value(root, root, "", v) {
			w.whole(f)
		}
	}
	if len(w.problems) > 0 {
		return nil, w.problems.sorted()
	}
	return f, nil
}

func newWalk(name string, data []byte, o Options) *walk {
	sum := sha256.Sum256(data)
	return &walk{
		Options: o.withDefaults(),
		source: &source{
			name: name, hash: hex.EncodeToString(sum[:]), offline: o.Offline,
			at: map[string]position{"": {1, 1}}, routes: map[*Route]string{},
			files: map[string][]byte{}, reads: map[string]string{}, secrets: map[string]string{},
		},
		folder:   filepath.Dir(name),
		wrong:    map[string]bool{},
		sections: map[string]bool{},
		doubts:   map[string][]string{},
	}
}

// ForUpstream returns the policy that a file has which names one upstream, the
// service at url, and sends every request there.
func ForUpstream(url string) (*File, error) {
	quoted, err := json.Marshal(strings.ReplaceAll(url, "$", "$$"))
	if err != nil {
		return nil, err
	}
	const doc = `version: v1
upstreams: {app: {endpoints: [{url: %s}]}}
routes: [{name: all, upstream: app}]
`
	return Parse("--upstream", fmt.Appendf(nil, doc, quoted), Options{})
}

// document returns the root of the one document in data, or nil, with the
// problem noted.
func (w *walk) document(data []byte) *yaml.Node {
	if len(data) > maxFile {
		w.report("", fmt.Sprintf("must be at most 1 MiB, got %d bytes", len(data)))
		return nil
	}
	var doc, next yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	err := decoder.Decode(&doc)
	if errors.Is(err, io.EOF) || err == nil && isNull(doc.Content[0]) {
		w.report("", "is empty: must hold at least version, upstreams and routes")
		return nil
	}
	if err == nil {
		if err = decoder.Decode(&next); err == nil {
			w.at[""] = position{next.Line, next.Column}
			w.report("", "must hold one document, here begins another")
			return nil
		}
	}
	if !errors.Is(err, io.EOF) {
		w.syntax(data, err)
		return nil
	}
	return doc.Content[0]
}

var syntaxLine = regexp.MustCompile(`^line (\d+): `)

// syntax notes what the YAML library says. Where its parser fails, rather than
// its scanner, it tells the line before the one where the mapping or list
// begins, or none: then the line is how far it had read.
func (w *walk) syntax(data []byte, err error) {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	line := 0
	if m := syntaxLine.FindStringSubmatch(text); m != nil {
		text = text[len(m[0]):]
		line, _ = strconv.Atoi(m[1])
	}
	if line == 0 || strings.HasPrefix(text, "did not find expected") {
		reader := byteReader{data: data}
		decoder := yaml.NewDecoder(&reader)
		for err = nil; err == nil; {
			err = decoder.Decode(new(yaml.Node))
		}
		line = 1 + bytes.Count(data[:max(0, reader.read-1)], []byte("\n"))
	}
	w.at[""] = position{line, 1}
	w.report("", "is not YAML: "+text)
}

// byteReader gives no more than is asked for, a byte at a time.
type byteReader struct {
	data []byte
	read int
}

func (r *byteReader) Read(p []byte) (int, error) {
	if r.read == len(r.data) {
		return 0, io.EOF
	}
	n := copy(p, r.data[r.read:r.read+1])
	r.read += n
	return n, nil
}
