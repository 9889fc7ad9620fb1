package validation

import (
	"slices"
	"unicode/utf8"
)

func (w *walk) text(r *rule) bool {
	s, escaped := w.quoted()
	w.count = 0
	if r.text == nil && len(r.constants) == 0 {
		return true
	}
	if escaped {
		w.unsure = true
		return false
	}
	for _, c := range r.constants {
		if !c.texts[string(s)] {
			return w.no()
		}
	}
	return r.text == nil || r.text.holds(s) || w.no()
}

func (t *textRule) holds(s []byte) bool {
	return (t.length == anyCount || t.length.holds(utf8.RuneCount(s))) &&
		(t.pattern == nil || t.pattern.Match(s)) &&
		(t.format == nil || t.format(string(s)) == nil)
}

func (w *walk) number(r *rule) bool {
	if r.number == nil && len(r.constants) == 0 && r.kinds&kindNumber == kindNumber {
		w.skip()
		return true
	}
	x, length := short(w.data[w.at:])
	if length == 0 {
		w.unsure = true
		return false
	}
	w.at += length
	w.count = 0
	kind := kindFraction
	if x.whole() {
		kind = kindWhole
	}
	if r.kinds&kind == 0 || slices.ContainsFunc(r.constants, func(c *constants) bool { return !c.number(x) }) {
		return w.no()
	}
	if r.number == nil {
		return true
	}
	for _, b := range r.number.bounds {
		if !b.holds(x) {
			return w.no()
		}
	}
	if r.number.multiple == nil {
		return true
	}
	is, ok := x.multiple(*r.number.multiple)
	if !ok {
		w.unsure = true
	}
	return is || w.no()
}
