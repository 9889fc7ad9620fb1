package policy

import (
	"iter"
	"maps"
	"reflect"
	"slices"
)

// policies are those of one kind, whatever their type.
type policies struct{ reflect.Value }

// kinds goes through Policies, in the order in which a request meets them.
func (f *File) kinds() iter.Seq2[string, policies] {
	return func(yield func(string, policies) bool) {
		v := reflect.ValueOf(f.Policies)
		for _, field := range fieldsOf(v.Type()) {
			if !yield(field.key, policies{v.FieldByIndex(field.index)}) {
				return
			}
		}
	}
}

// Named goes through the named policies, in the order in which a request meets
// them: their kinds, and what each is.
func (f *File) Named() iter.Seq2[string, Named[any]] {
	return func(yield func(string, Named[any]) bool) {
		for kind, policies := range f.kinds() {
			for _, name := range policies.names() {
				if !yield(kind, Named[any]{Name: name, Path: "policies." + kind + "." + name, Config: policies.get(name)}) {
					return
				}
			}
		}
	}
}

func (p policies) names() []string {
	names := make([]string, 0, p.Len())
	for _, key := range p.MapKeys() {
		names = append(names, key.String())
	}
	slices.Sort(names)
	return names
}

func (p policies) get(name string) any { return p.MapIndex(reflect.ValueOf(name)).Interface() }

// ofKind goes through the policies of one kind that the file has, and where they
// are: the named ones, and those that stand where they are used.
func ofKind[C any](w *walk, f *File, kind string, named map[string]*C, use func(Use) Ref[C]) iter.Seq2[string, *C] {
	return func(yield func(string, *C) bool) {
		at := map[string]*C{"defaults.use." + kind: use(f.Defaults.Use).Inline}
		for name, c := range named {
			at["policies."+kind+"."+name] = c
		}
		for _, r := range f.Routes {
			if r != nil {
				at[w.routes[r]+".use."+kind] = use(r.Use).Inline
			}
		}
		for _, path := range slices.Sorted(maps.Keys(at)) {
			if at[path] != nil && !yield(path, at[path]) {
				return
			}
		}
	}
}

// entry is what use says about one kind, whatever its type.
type entry struct {
	kind   string
	names  []string
	inline bool
	single bool // the kind allows one policy only
}

// entries returns what u says, kind by kind.
func (u Use) entries() []entry {
	var all []entry
	v := reflect.ValueOf(u)
	for _, field := range fieldsOf(v.Type()) {
		ref := v.FieldByIndex(field.index)
		kind, _ := reflect.TypeFor[Effective]().FieldByName(v.Type().FieldByIndex(field.index).Name)
		all = append(all, entry{
			kind:   field.key,
			names:  ref.FieldByName("Names").Interface().([]string),
			inline: !ref.FieldByName("Inline").IsNil(),
			single: kind.Type.Kind() == reflect.Pointer,
		})
	}
	return all
}
