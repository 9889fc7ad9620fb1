package policy

import (
	"encoding"
	"reflect"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// Tree returns f as maps, lists and scalars that encoding/json prints, with
// what was not said. Each section that stands in the file tells where, as
// "line". What a variable holds may be a secret: a text that comes from one is
// shown as it is written, unless that is its default. So may the query of a URL:
// it is shown as ***.
func (f *File) Tree() any {
	return tree{f.origin(), f.origin().at}.value("", reflect.ValueOf(f).Elem())
}

// TreeOf returns config, a section of f, as Tree does, without lines.
func (f *File) TreeOf(config any) any {
	return tree{f.origin(), nil}.value("", reflect.ValueOf(config))
}

// Line returns where in the file the key at path is; 0 if it is not there.
func (f *File) Line(path string) int { return f.origin().at[path].line }

// tree makes trees of sections.
type tree struct {
	*source
	lines map[string]position // by path; nil for none
}

func (t tree) value(path string, v reflect.Value) any {
	switch x := v.Interface().(type) {
	case time.Duration:
		return x.String()
	case Secret:
		return x.String()
	case encoding.TextMarshaler:
		text, err := x.MarshalText()
		if err != nil {
			return err.Error()
		}
		return string(text)
	case yaml.Marshaler: // a Ref
		entry, _ := x.MarshalYAML() // never fails
		return t.value(path, reflect.ValueOf(entry))
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		return t.value(path, v.Elem())
	case reflect.Struct:
		return t.section(path, v)
	case reflect.Map:
		m := make(map[string]any, v.Len())
		for _, key := range v.MapKeys() {
			m[key.String()] = t.value(join(path, segment(key.String())), v.MapIndex(key))
		}
		return m
	case reflect.Slice:
		return t.list(path, v)
	case reflect.String:
		return withoutQuery(t.asWritten(v.String()))
	}
	return v.Interface()
}

func (t tree) section(path string, v reflect.Value) any {
	m := map[string]any{}
	for _, f := range fieldsOf(v.Type()) {
		value := v.FieldByIndex(f.index)
		if f.omitEmpty && isEmpty(value) {
			continue
		}
		m[f.key] = t.value(join(path, f.key), value)
	}
	if at, ok := t.lines[path]; ok {
		m["line"] = at.line
	}
	return m
}

func (t tree) list(path string, v reflect.Value) any {
	all := make([]any, v.Len())
	for i := range all {
		item, at := v.Index(i), path+"["+strconv.Itoa(i)+"]"
		if r, ok := item.Interface().(*Route); ok {
			at = t.route(r)
		}
		all[i] = t.value(at, item)
	}
	return all
}

// isEmpty reports whether v says nothing, as yaml's omitempty has it.
func isEmpty(v reflect.Value) bool {
	if k := v.Kind(); k == reflect.Map || k == reflect.Slice {
		return v.Len() == 0
	}
	if z, ok := v.Interface().(yaml.IsZeroer); ok {
		return z.IsZero()
	}
	return v.IsZero()
}

// withoutQuery returns text with the query as ***, if it is a URL that is called.
func withoutQuery(text string) string {
	before, _, found := strings.Cut(text, "?")
	if !found || !strings.HasPrefix(before, "http://") && !strings.HasPrefix(before, "https://") {
		return text
	}
	return before + "?***"
}

// asWritten returns text or, where only a variable tells it, how that is
// written.
func (s *source) asWritten(text string) string {
	for _, h := range s.hidden {
		if h.value != text || text == "" {
			continue
		}
		if e := expand(h.written, nil); e.unknown || e.text != text {
			return h.written
		}
	}
	return text
}
