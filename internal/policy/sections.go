package policy

import (
	"reflect"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"sidecar/internal/exchange"
)

func (w *walk) pointer(key, node *yaml.Node, path string, v reflect.Value) bool {
	target := reflect.New(v.Type().Elem())
	setDefaults(target.Elem())
	ok := w.value(key, node, path, target.Elem())
	if ok {
		v.Set(target)
	}
	return ok
}

// section reads a mapping into a struct, and has it check itself.
func (w *walk) section(key, node *yaml.Node, path string, v reflect.Value) bool {
	if node.Kind == yaml.ScalarNode && smellsOfSecret(key.Value) {
		return w.refuse(path, "must be a mapping; a secret must not stand in the policy file")
	}
	if node.Kind != yaml.MappingNode {
		return w.refuse(path, "must be a mapping, got "+describe(node))
	}
	if line := v.FieldByName("Line"); line.IsValid() {
		line.SetInt(int64(key.Line))
	}
	w.sections[path] = true
	fields := fieldsOf(v.Type())
	for k, value := range w.pairs(node, path) {
		at := join(path, segment(k.Value))
		f, ok := fields.find(k.Value)
		if !ok {
			w.unknown(k, value, path, fields.keys())
			continue
		}
		if w.value(k, value, at, v.FieldByIndex(f.index)) && f.names {
			w.readNamed(at, v.FieldByIndex(f.index).String(), f.secret)
		}
	}
	if c, ok := v.Addr().Interface().(interface{ Validate(exchange.Report) }); ok {
		c.Validate(func(field, problem string) { w.check(join(path, field), problem) })
	}
	if c, ok := v.Addr().Interface().(refers); ok && !w.Offline {
		c.References(func(key, name string) ([]byte, error) { return w.referred(join(path, key), name) })
	}
	return true
}

// mapping reads a mapping whose keys the user chooses. Where its values are
// sections, the keys are names.
func (w *walk) mapping(node *yaml.Node, path string, v reflect.Value) bool {
	if node.Kind != yaml.MappingNode {
		return w.refuse(path, "must be a mapping, got "+describe(node))
	}
	v.Set(reflect.MakeMap(v.Type()))
	for k, value := range w.pairs(node, path) {
		at := join(path, segment(k.Value))
		element := reflect.New(v.Type().Elem()).Elem()
		if named := element.Kind() == reflect.Pointer; named {
			w.at[at] = position{k.Line, k.Column}
			if problem := checkName(k.Value, strings.HasPrefix(path, "policies.")); problem != "" {
				w.report(at, problem)
			}
		}
		// What cannot be read is there all the same: who names it is not wrong.
		w.value(k, value, at, element)
		v.SetMapIndex(reflect.ValueOf(k.Value), element)
	}
	return true
}

func (w *walk) list(node *yaml.Node, path string, v reflect.Value) bool {
	if node.Kind != yaml.SequenceNode {
		return w.refuse(path, "must be a list, got "+describe(node))
	}
	v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	for i, item := range node.Content {
		at := w.item(path, i, item)
		if !w.spend(item, at) {
			return false
		}
		v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem())))
		element := v.Index(i)
		if element.Kind() == reflect.Struct {
			setDefaults(element)
		}
		w.value(item, item, at, element)
		if r, ok := element.Interface().(*Route); ok && r != nil {
			w.routes[r] = at
		}
	}
	return true
}

// one reads a text that stands for a list of it.
func (w *walk) one(node *yaml.Node, path string, v reflect.Value) bool {
	text := reflect.New(v.Type().Elem()).Elem()
	ok := w.scalar(node, path, text)
	if ok {
		v.Set(reflect.Append(reflect.MakeSlice(v.Type(), 0, 1), text))
	}
	return ok
}

// item returns the path of an item: routes go by their names, where those are
// good ones and their own, so that a path still holds when a route moves.
func (w *walk) item(path string, i int, item *yaml.Node) string {
	if path == "routes" {
		if name := scalarAt(item, "name"); checkName(name, false) == "" {
			at := path + "[" + name + "]"
			if _, taken := w.at[at]; !taken {
				return at
			}
		}
	}
	return path + "[" + strconv.Itoa(i) + "]"
}

// reference reads an entry of use: a name, none, a list of names or a section.
func (w *walk) reference(key, node *yaml.Node, path string, v reflect.Value) bool {
	var ok bool
	switch node.Kind {
	case yaml.SequenceNode:
		ok = w.list(node, path, v.FieldByName("Names"))
	case yaml.MappingNode:
		ok = w.pointer(key, node, path, v.FieldByName("Inline"))
	default:
		name := reflect.New(reflect.TypeFor[string]()).Elem()
		if ok = w.scalar(node, path, name); ok {
			if name.String() == none {
				v.FieldByName("None").SetBool(true)
			} else {
				v.FieldByName("Names").Set(reflect.ValueOf([]string{name.String()}))
			}
		}
	}
	if ok {
		v.FieldByName("Line").SetInt(int64(key.Line))
	}
	return ok
}
