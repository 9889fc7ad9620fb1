package policy

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// source is what a File remembers of the text that it was read from.
type source struct {
	name string
	hash string

	at      map[string]position // where in the file each path is
	routes  map[*Route]string   // their paths
	hidden  []hidden            // the longest value first
	files   map[string][]byte   // by the name that the policy gives
	reads   map[string]string   // path of the key to name of the file
	secrets map[string]string   // of those that hold one, path of the key to place of the file

	offline bool // read without variables and files
	partial bool // what routes use is not wholly known, since variables are not read
}

type position struct{ line, column int }

// hidden is a scalar that holds a variable. The variable may hold a secret,
// so problems show the scalar as it is written.
type hidden struct{ path, written, value string }

// origin returns the source of f, an empty one if f was not read from a file.
func (f *File) origin() *source {
	if f.source == nil {
		return &source{}
	}
	return f.source
}

// Name returns the name of the file.
func (f *File) Name() string { return f.origin().name }

// Hash returns the SHA-256 of the file's bytes, in hex. It does not tell of
// the variables and files that the policy names.
func (f *File) Hash() string { return f.origin().hash }

// Offline reports whether f was read without the variables and files that it
// names, so that it can be looked at and not applied.
func (f *File) Offline() bool { return f.origin().offline }

// ReadFile returns the content of a file that the policy names, as it was
// when the policy was read; path is what the policy says. A file that the
// policy does not name is not read.
func (f *File) ReadFile(path string) ([]byte, error) {
	data, ok := f.origin().files[path]
	if !ok {
		return nil, fmt.Errorf("file %q was not read with the policy", path)
	}
	return bytes.Clone(data), nil
}

// SecretFiles returns the places of the files that hold private keys, shared
// secrets and tokens, by the paths of the keys in the policy that name them.
func (f *File) SecretFiles() map[string]string { return maps.Clone(f.origin().secrets) }

func (s *source) problem(path, text string) Problem {
	at := s.position(path)
	return Problem{s.name, at.line, at.column, oneLine(path), oneLine(s.hide(path, text))}
}

// oneLine keeps what users chose, such as a key, from breaking the line.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

// position returns where path is, or what is nearest around it.
func (s *source) position(path string) position {
	for {
		if at, ok := s.at[path]; ok || path == "" {
			return at
		}
		path = parent(path)
	}
}

// route returns the path of r.
func (s *source) route(r *Route) string {
	if path, ok := s.routes[r]; ok {
		return path
	}
	return "routes[" + r.Name + "]"
}

// shortSecret is how long a value must be to be hidden where it is not in
// quotes: a shorter one would be found in innocent words and numbers.
const shortSecret = 8

// hide returns text, which speaks of path, with variables as they are written.
func (s *source) hide(path, text string) string {
	for _, h := range s.hidden {
		if h.path == path {
			// Whatever the check made of the value stands behind this word.
			if before, _, ok := strings.Cut(text, ", got "); ok {
				text = before + ", got " + strconv.Quote(h.written)
			}
		}
		if h.value == "" {
			continue
		}
		// In one pass: what is written may hold the value, as its default.
		pairs := []string{strconv.Quote(h.value), strconv.Quote(h.written)}
		if len(h.value) >= shortSecret {
			pairs = append(pairs, h.value, h.written)
		}
		text = strings.NewReplacer(pairs...).Replace(text)
	}
	return text
}

// conceal remembers a value to hide. Longer ones are hidden first, or a part
// of one that holds another would be left over.
func (s *source) conceal(h hidden) {
	at, _ := slices.BinarySearchFunc(s.hidden, h, func(a, b hidden) int {
		return cmp.Compare(len(b.value), len(a.value))
	})
	s.hidden = slices.Insert(s.hidden, at, h)
}
