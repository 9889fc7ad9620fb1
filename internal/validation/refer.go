package validation

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Where files are, in the URLs by which schemas refer to one another: those
// named relative to the policy's folder, and those named from the root.
const (
	here = "schema:///here/"
	root = "schema:///root/"
)

// maxReferred is how many files a schema may refer to, and they to others.
const maxReferred = 64

// placeOf returns what the schema file called name is called within itself. One
// above the policy's folder is nowhere: all that it may refer to is far below.
func placeOf(name string) string {
	name = path.Clean(name)
	switch {
	case path.IsAbs(name):
		return root + escape(name[1:])
	case fs.ValidPath(name):
		return here + escape(name)
	}
	return place
}

func escape(name string) string { return (&url.URL{Path: name}).EscapedPath() }

// nameOf returns the name of the file at a URL.
func nameOf(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil {
		return "", err
	}
	for under, prefix := range map[string]string{here: "", root: "/"} {
		name, ok := strings.CutPrefix(u.Scheme+"://"+u.Host+u.Path, under)
		if ok && u.User == nil && u.RawQuery == "" && fs.ValidPath(name) {
			return prefix + name, nil
		}
	}
	return "", fmt.Errorf("$ref must be to a file in the policy's folder, as seen from this file or its $id, got %q",
		strings.TrimPrefix(text, "schema://"))
}

// library has the files that a schema refers to. It asks no network.
type library struct {
	read   func(name string) ([]byte, error) // nil: there are no more
	docs   map[string]any                    // by URL
	drafts map[string]bool                   // that documents say they are of, which would be loaded if they are not known
}

// newLibrary returns one of which the first document is doc.
func newLibrary(doc any, read func(name string) ([]byte, error)) *library {
	l := &library{read: read, docs: map[string]any{}, drafts: map[string]bool{}}
	l.note(doc)
	return l
}

// note keeps the drafts that are named in tree.
func (l *library) note(tree any) {
	switch node := tree.(type) {
	case []any:
		for _, item := range node {
			l.note(item)
		}
	case map[string]any:
		for _, item := range node {
			l.note(item)
		}
		if draft, ok := node["$schema"].(string); ok {
			draft, _, _ = strings.Cut(draft, "#")
			l.drafts[draft] = true
		}
	}
}

// Load implements jsonschema.URLLoader.
func (l *library) Load(at string) (any, error) {
	if l.drafts[at] {
		return nil, fmt.Errorf("$schema must be draft-04, draft-06, draft-07, 2019-09 or 2020-12, got %q", at)
	}
	if doc, ok := l.docs[at]; ok {
		return doc, nil
	}
	name, err := nameOf(at)
	if err != nil {
		return nil, err
	}
	if l.read == nil {
		return nil, fmt.Errorf("%s is another file; put what is referred to under $defs", name)
	}
	if len(l.docs) == maxReferred {
		return nil, fmt.Errorf("files must be at most %d besides the first, %s is one more", maxReferred, name)
	}
	data, err := l.read(name)
	if err != nil {
		return nil, err
	}
	doc, err := parseSchema(data)
	if err != nil {
		return nil, fmt.Errorf("%s %w", name, err)
	}
	l.note(doc)
	l.docs[at] = doc
	return doc, nil
}

// parseSchema returns the JSON in data, which may be a schema.
func parseSchema(data []byte) (any, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("must be JSON: %w", err)
	}
	switch doc.(type) {
	case map[string]any, bool:
		return doc, nil
	}
	return nil, errors.New("must be a JSON Schema: an object, or a boolean")
}

// References asks read for JSONSchema and for each file that it refers to, by
// the name that the policy would have for it and the key that it is of, so
// that they are read with the policy. What is wrong with them New tells.
func (c *Config) References(read func(key, name string) ([]byte, error)) {
	if c.JSONSchema == "" {
		return
	}
	_, _ = loadSchema(c.JSONSchema, func(name string) ([]byte, error) { return read("jsonSchema", name) })
}
