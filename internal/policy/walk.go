package policy

import (
	"encoding"
	"fmt"
	"iter"
	"reflect"
	"strconv"
	"unicode"

	"gopkg.in/yaml.v3"

	"sidecar/internal/exchange"
)

// walk goes through the nodes of the file and the fields of File side by side.
// It goes on after a problem, so that all are told at once.
type walk struct {
	Options
	*source
	folder string

	problems Problems
	wrong    map[string]bool     // the paths of problems, and all around them
	sections map[string]bool     // the paths whose keys are ours
	doubts   map[string][]string // by path: the keys in it that could not be read, "" for itself
	spent    int
}

// budget bounds how much a file says, what its aliases repeat included: the
// number of its values, long ones counted as several.
const budget = 100_000

// spend takes a value from the budget, and reports whether there was one left.
func (w *walk) spend(node *yaml.Node, path string) bool {
	if w.spent > budget {
		return false
	}
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	if w.spent += 1 + len(node.Value)/64; w.spent > budget {
		return w.refuse(path, "is too much for a policy; an alias counts as all that it stands for")
	}
	return true
}

// value reads node into v. key is the node to point at when the value is a
// section: its key, or the item itself. It reports whether v was set.
func (w *walk) value(key, node *yaml.Node, path string, v reflect.Value) bool {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	at := node
	if node.Kind != yaml.ScalarNode || isNull(node) {
		at = key
	}
	w.at[path] = position{at.Line, at.Column}

	switch {
	case isNull(node):
		return w.refuse(path, "has no value")
	case node.Style&yaml.TaggedStyle != 0:
		return w.refuse(path, "must have no tag, got "+segment(node.Tag))
	}

	if _, ok := v.Interface().(interface{ isRef() }); ok {
		return w.reference(key, node, path, v)
	}
	if _, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return w.scalar(node, path, v)
	}
	switch v.Kind() {
	case reflect.Pointer:
		return w.pointer(key, node, path, v)
	case reflect.Struct:
		return w.section(key, node, path, v)
	case reflect.Map:
		return w.mapping(node, path, v)
	case reflect.Slice:
		if v.Type() == reflect.TypeFor[exchange.OneOrMore]() && node.Kind == yaml.ScalarNode {
			return w.one(node, path, v)
		}
		return w.list(node, path, v)
	}
	return w.scalar(node, path, v)
}

// pairs goes through the keys of a mapping that are there once and are text.
func (w *walk) pairs(node *yaml.Node, path string) iter.Seq2[*yaml.Node, *yaml.Node] {
	return func(yield func(key, value *yaml.Node) bool) {
		seen := map[string]int{}
		for i := 0; i+1 < len(node.Content); i += 2 {
			key, value := node.Content[i], node.Content[i+1]
			at := join(path, segment(key.Value))
			if !w.spend(value, at) {
				return
			}
			first, twice := seen[key.Value]
			switch {
			case key.Kind != yaml.ScalarNode:
				w.reportAt(key, path, "must have text as keys, got "+describe(key))
			case key.ShortTag() == "!!merge":
				w.reportAt(key, at, "is not supported: write out the keys, or use an alias as a whole value")
			case key.ShortTag() != "!!str" || key.Style&yaml.TaggedStyle != 0:
				w.reportAt(key, at, "must be text to be a key, such as "+strconv.Quote(key.Value))
			case twice:
				w.reportAt(key, at, fmt.Sprintf("is there twice, first at line %d", first))
			default:
				seen[key.Value] = key.Line
				if !yield(key, value) {
					return
				}
			}
		}
	}
}

// setDefaults fills v, and the sections in it, with what is not said.
func setDefaults(v reflect.Value) {
	if v.Kind() != reflect.Struct {
		return
	}
	if d, ok := v.Addr().Interface().(interface{ SetDefaults() }); ok {
		d.SetDefaults()
	}
	for i := range v.NumField() {
		if v.Type().Field(i).IsExported() {
			setDefaults(v.Field(i))
		}
	}
}

func isNull(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null"
}

// scalarAt returns the scalar under key in a mapping, or nothing.
func scalarAt(node *yaml.Node, key string) string {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	if node.Kind != yaml.MappingNode {
		return ""
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == key && node.Content[i+1].Kind == yaml.ScalarNode {
			return node.Content[i+1].Value
		}
	}
	return ""
}

// segment returns key as it stands in paths: in quotes if it would not stay
// on the line.
func segment(key string) string {
	for _, r := range key {
		if !unicode.IsPrint(r) || r == ' ' {
			return strconv.Quote(key)
		}
	}
	return key
}
