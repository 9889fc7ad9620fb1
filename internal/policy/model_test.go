package policy

import (
	"encoding/json"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"sidecar/internal/exchange"
	"sidecar/internal/faults"
	"sidecar/internal/ratelimit"
	"sidecar/internal/retry"
)

// model is the policy file as a reader sees it. The schema and the reference
// are printed from it; it is made of what the walk goes by: the fields of File,
// their defaults, their doc comments, and what Parse says to a wrong value.
type model struct {
	sections []*section // each once, in the order of the file
	comments comments
}

// section is a mapping whose keys are ours.
type section struct {
	typ  reflect.Type
	path string // where it stands first, such as upstreams.NAME.endpoints[0]
	doc  string
	keys []key
}

type key struct {
	name     string
	doc      string
	value    kind
	required bool
	fallback any // what holds when it is not said; nil: nothing
}

// kind is what a value may be.
type kind struct {
	sort    sort
	scalar  string   // for one
	words   []string // for a scalar: those that are accepted, if they are few
	limits  []string // for a number: the least and the most
	of      *kind    // of an item
	section *section // for a section, and for a reference's inline policy
	single  bool     // for a reference: one name at most
}

type sort int

const (
	isScalar sort = iota
	isSection
	isReference
	isList
	isOneOrMore
	isMapping
	isNames // a mapping of names to sections
)

// someName stands for a name that the user chooses.
const someName = "NAME"

func newModel(t *testing.T) *model {
	m := &model{comments: comments{}}
	f := reflect.ValueOf(new(File)).Elem()
	setDefaults(f)
	m.section(t, "", f)
	return m
}

// section adds the section at path that is read into v, and those in it.
func (m *model) section(t *testing.T, path string, v reflect.Value) *section {
	t.Helper()
	s := &section{typ: v.Type(), path: path}
	s.doc = strings.TrimPrefix(m.comments.section(t, v.Type()), path+": ")
	m.sections = append(m.sections, s)
	demanded := complaints(t, path, map[string]any{})
	for _, f := range fieldsOf(v.Type()) {
		at := join(path, f.key)
		k := key{name: f.key, doc: m.comments.key(t, v.Type(), f), value: m.kind(t, at, v.FieldByIndex(f.index))}
		_, k.required = demanded[at]
		k.fallback = fallback(v.FieldByIndex(f.index), f.omitEmpty, k.value)
		s.keys = append(s.keys, k)
	}
	return s
}

// kind returns what may stand at path, to be read into v.
func (m *model) kind(t *testing.T, path string, v reflect.Value) kind {
	t.Helper()
	_, isText := v.Addr().Interface().(interface{ UnmarshalText([]byte) error })
	_, isRef := v.Interface().(interface{ isRef() })
	switch {
	case isRef:
		return m.reference(t, path, v)
	case isText:
	case v.Kind() == reflect.Pointer:
		return m.kind(t, path, fresh(v.Type().Elem()))
	case v.Kind() == reflect.Struct:
		return kind{sort: isSection, section: m.find(t, path, v)}
	case v.Type() == reflect.TypeFor[exchange.OneOrMore]():
		of := m.kind(t, path+"[0]", fresh(v.Type().Elem()))
		return kind{sort: isOneOrMore, of: &of}
	case v.Kind() == reflect.Slice:
		of := m.kind(t, path+"[0]", fresh(v.Type().Elem()))
		return kind{sort: isList, of: &of}
	case v.Kind() == reflect.Map:
		of := m.kind(t, join(path, someName), fresh(v.Type().Elem()))
		if of.section != nil {
			return kind{sort: isNames, of: &of}
		}
		return kind{sort: isMapping, of: &of}
	}
	return scalarKind(t, path, v)
}

// find returns the section that is read into v: the one there is already, for
// what stands in several places, or a new one at path.
func (m *model) find(t *testing.T, path string, v reflect.Value) *section {
	t.Helper()
	if i := slices.IndexFunc(m.sections, func(s *section) bool { return s.typ == v.Type() }); i >= 0 {
		return m.sections[i]
	}
	return m.section(t, path, v)
}

func (m *model) reference(t *testing.T, path string, v reflect.Value) kind {
	t.Helper()
	inline := v.FieldByName("Inline").Type().Elem()
	k := kind{sort: isReference, section: m.find(t, path, fresh(inline))}
	if strings.Contains(complaints(t, path, map[string]any{})[path], "must be named") {
		k.section = nil
	}
	k.single = strings.Contains(complaints(t, path, []string{"a", "b"})[path], "must be one policy")
	return k
}

// scalars are the sorts of scalars, beside text and those that Go's own kinds
// tell.
var scalars = map[reflect.Type]string{
	reflect.TypeFor[time.Duration]():      "duration",
	reflect.TypeFor[exchange.Size]():      "size",
	reflect.TypeFor[exchange.Condition](): "condition",
	reflect.TypeFor[ratelimit.Rate]():     "rate",
	reflect.TypeFor[retry.HedgeAfter]():   "patience",
	reflect.TypeFor[faults.Bandwidth]():   "bandwidth",
	reflect.TypeFor[Secret]():             "variable",
}

var (
	oneOf   = regexp.MustCompile(`(?m)^must be (?:one of \[(.+)\]|(\S+), the one version there is), got `)
	between = regexp.MustCompile(`(?m)^must be ([0-9.]+) to ([0-9.]+), got `)
)

// scalarKind returns the sort of v. Which words and numbers are accepted is
// what Parse says to one that none is.
func scalarKind(t *testing.T, path string, v reflect.Value) kind {
	t.Helper()
	_, isText := v.Addr().Interface().(interface{ UnmarshalText([]byte) error })
	k := kind{scalar: "text"}
	switch {
	case scalars[v.Type()] != "":
		k.scalar = scalars[v.Type()]
	case isText:
	case v.Kind() == reflect.Bool:
		k.scalar = "boolean"
	case v.CanInt():
		k.scalar = "integer"
	case v.CanFloat():
		k.scalar = "number"
	}
	switch k.scalar {
	case "text":
		if found := oneOf.FindStringSubmatch(complaints(t, path, "?")[path]); found != nil {
			k.words = strings.Fields(found[1] + found[2])
		}
	case "integer", "number":
		if found := between.FindStringSubmatch(complaints(t, path, -1<<40)[path]); found != nil {
			k.limits = found[1:]
		}
	}
	return k
}

// complaints returns by path what Parse says to a file that holds nothing but
// value, at path.
func complaints(t *testing.T, path string, value any) map[string]string {
	t.Helper()
	parts := strings.Split(path, ".")
	for _, part := range slices.Backward(parts) {
		if part == "" {
			continue
		}
		name, isItem := strings.CutSuffix(part, "[0]")
		if isItem {
			value = []any{value}
		}
		value = map[string]any{name: value}
	}
	data, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]string{}
	_, err = Parse("model.yaml", data, Options{Offline: true})
	problems, _ := err.(Problems)
	for _, p := range problems {
		said[p.Path] += p.Text + "\n"
	}
	return said
}

// roundDuration is 1m0s or 24h0m0s, which nobody writes so.
var roundDuration = regexp.MustCompile(`^(.*[hm])(?:0m)?0s$`)

// fallback returns what holds when the key is not said, as it is written. What
// is empty is nothing, unless it is one of the words.
func fallback(v reflect.Value, omitEmpty bool, k kind) any {
	if k.sort != isScalar && (k.sort != isList || k.of.sort != isScalar) {
		return nil
	}
	data, err := yaml.Marshal(v.Interface())
	var written any
	if err != nil || yaml.Unmarshal(data, &written) != nil {
		return nil
	}
	word, _ := written.(string)
	if v.Type() == reflect.TypeFor[time.Duration]() {
		written = roundDuration.ReplaceAllString(word, "$1")
	}
	if empty := v.IsZero() && (omitEmpty || written == ""); empty && !slices.Contains(k.words, word) {
		return nil
	}
	return written
}

func fresh(t reflect.Type) reflect.Value {
	v := reflect.New(t).Elem()
	setDefaults(v)
	return v
}
