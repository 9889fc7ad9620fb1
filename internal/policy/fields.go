package policy

import (
	"reflect"
	"strings"
)

// field is one key of a section.
type field struct {
	key       string
	index     []int
	names     bool // a file to read
	secret    bool // which nobody else should
	omitEmpty bool // not written when it says nothing
}

type fields []field

// fieldsOf returns the keys of the section that is read into t.
func fieldsOf(t reflect.Type) fields {
	var fs fields
	for i := range t.NumField() {
		sf := t.Field(i)
		key, options, _ := strings.Cut(sf.Tag.Get("yaml"), ",")
		switch {
		case !sf.IsExported() || key == "-":
		case options == "inline":
			for _, f := range fieldsOf(sf.Type) {
				f.index = append([]int{i}, f.index...)
				fs = append(fs, f)
			}
		case key != "":
			file := sf.Tag.Get("file")
			fs = append(fs, field{key, []int{i}, file != "", file == "secret", options == "omitempty"})
		}
	}
	return fs
}

func (fs fields) find(key string) (field, bool) {
	for _, f := range fs {
		if f.key == key {
			return f, true
		}
	}
	return field{}, false
}

func (fs fields) keys() []string {
	keys := make([]string, len(fs))
	for i, f := range fs {
		keys[i] = f.key
	}
	return keys
}
