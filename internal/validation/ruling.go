package validation

import (
	"maps"
	"math/big"
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// rules makes rules, one of each schema.
type rules map[*jsonschema.Schema]*rule

// of returns the rule of s, nil of nil.
func (rs rules) of(s *jsonschema.Schema) *rule {
	if s == nil {
		return nil
	}
	if r, ok := rs[s]; ok {
		return r
	}
	r := &rule{kinds: anyKind, steps: int64(1 + len(s.AllOf) + len(s.AnyOf) + len(s.OneOf))}
	rs[s] = r // before those that it is made of: they may refer to it
	if s.Bool != nil {
		r.any, r.kinds = *s.Bool, 0
		return r
	}
	r.ask = !holds(s) || !r.setConstants(s) || !r.setText(s) || !r.setNumber(s) || !rs.setMembers(r, s)
	if !r.ask {
		r.setKinds(s)
		rs.setItems(r, s)
		rs.setSame(r, s)
	}
	return r
}

func (rs rules) list(schemas []*jsonschema.Schema) []*rule {
	var all []*rule
	for _, s := range schemas {
		all = append(all, rs.of(s))
	}
	return all
}

// either returns the rule of a schema or a boolean, nil of nil.
func (rs rules) either(v any) *rule {
	switch v := v.(type) {
	case bool:
		return &rule{any: v}
	case *jsonschema.Schema:
		return rs.of(v)
	}
	return nil
}

func (r *rule) setKinds(s *jsonschema.Schema) {
	if s.Types == nil {
		return
	}
	r.kinds = 0
	for _, name := range s.Types.ToStrings() {
		r.kinds |= kindsOf[name]
	}
}

func (r *rule) setText(s *jsonschema.Schema) bool {
	if s.MinLength == nil && s.MaxLength == nil && s.Pattern == nil && s.Format == nil {
		return true
	}
	r.text = &textRule{length: spanOf(s.MinLength, s.MaxLength)}
	if s.Format != nil {
		r.text.format = s.Format.Validate // which has nothing to say of other values
	}
	if s.Pattern == nil {
		return true
	}
	var ok bool
	r.text.pattern, ok = s.Pattern.(matcher)
	return ok
}

func (r *rule) setNumber(s *jsonschema.Schema) bool {
	n := &numberRule{}
	for _, b := range []struct {
		limit     *big.Rat
		low, high int
	}{{s.Minimum, 0, 1}, {s.ExclusiveMinimum, 1, 1}, {s.Maximum, -1, 0}, {s.ExclusiveMaximum, -1, -1}} {
		if b.limit == nil {
			continue
		}
		limit, ok := exactly(b.limit)
		if !ok {
			return false
		}
		n.bounds = append(n.bounds, bound{limit, b.low, b.high})
	}
	if s.MultipleOf != nil {
		multiple, ok := exactly(s.MultipleOf)
		if !ok {
			return false
		}
		n.multiple = &multiple
	}
	if len(n.bounds) > 0 || n.multiple != nil {
		r.number = n
	}
	return true
}

func (rs rules) setMembers(r *rule, s *jsonschema.Schema) bool {
	m := &memberRule{count: spanOf(s.MinProperties, s.MaxProperties), named: map[string]member{}, rest: rs.either(s.AdditionalProperties)}
	for name, schema := range s.Properties {
		m.named[name] = member{rule: rs.of(schema)}
	}
	for _, name := range s.Required {
		m.named[name] = member{rule: m.named[name].rule, required: true}
	}
	for _, name := range slices.Sorted(maps.Keys(m.named)) {
		if m.named[name].required {
			m.required++
		}
		if len(m.named) <= few {
			m.few = append(m.few, fewMember{name, m.named[name]})
		}
	}
	for expression, schema := range s.PatternProperties {
		name, ok := expression.(matcher)
		if !ok {
			return false
		}
		m.patterns = append(m.patterns, patternRule{name, rs.of(schema)})
	}
	if len(m.named)+len(m.patterns) > 0 || m.rest != nil || s.MinProperties != nil || s.MaxProperties != nil {
		r.members = m
	}
	return true
}

func (rs rules) setItems(r *rule, s *jsonschema.Schema) {
	i := &itemRule{count: spanOf(s.MinItems, s.MaxItems), first: rs.list(s.PrefixItems), rest: rs.of(s.Items2020)}
	switch items := s.Items.(type) { // before 2020-12
	case *jsonschema.Schema:
		i.rest = rs.of(items)
	case []*jsonschema.Schema:
		i.first, i.rest = rs.list(items), rs.either(s.AdditionalItems)
	}
	if len(i.first) > 0 || i.rest != nil || s.MinItems != nil || s.MaxItems != nil {
		r.items = i
	}
}

func (rs rules) setSame(r *rule, s *jsonschema.Schema) {
	same := &sameRule{
		all: rs.list(s.AllOf), some: rs.list(s.AnyOf), one: rs.list(s.OneOf), not: rs.of(s.Not),
		when: rs.of(s.If), then: rs.of(s.Then), els: rs.of(s.Else),
	}
	if s.Ref != nil {
		same.all = append(same.all, rs.of(s.Ref))
	}
	if len(same.all)+len(same.some)+len(same.one) > 0 || same.not != nil || same.when != nil {
		r.same = same
		r.bare = r.kinds == anyKind && r.constants == nil && r.text == nil && r.number == nil && r.members == nil && r.items == nil
	}
}

// each calls f with all of them.
func (s *sameRule) each(f func(*rule)) {
	for _, some := range [][]*rule{s.all, s.some, s.one, {s.not, s.when, s.then, s.els}} {
		for _, r := range some {
			if r != nil {
				f(r)
			}
		}
	}
}

// breakCircles leaves to the library what is a rule of a value by way of
// itself: there is no end to that.
func (rs rules) breakCircles() {
	const within, done = 1, 2
	state := map[*rule]int{}
	var visit func(r *rule)
	visit = func(r *rule) {
		if state[r] == within {
			r.ask = true
		}
		if state[r] != 0 || r.same == nil {
			return
		}
		state[r] = within
		r.same.each(visit)
		state[r] = done
	}
	for _, r := range rs {
		visit(r)
	}
}
