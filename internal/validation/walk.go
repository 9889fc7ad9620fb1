package validation

// walk goes over the bytes of a JSON text and holds them against rules, without
// making anything of them. It takes no text that a scanner has not taken, with
// names that are unique. Where it cannot be sure, the library must be asked:
// of what it would have to decode, of any keyword that rules do not hold, and
// of anything that does not fit.
type walk struct {
	data   []byte
	at     int
	count  int   // members or items, of the value that was gone over last
	steps  int64 // that may be taken: as many as the library would take, or fewer
	back   int64 // bytes that may be gone over again
	trying int   // in how many alternatives: there it is an answer that something does not fit
	unsure bool
}

// surely reports whether data, which a scanner has found to have that many
// parts, certainly fits s: that the library would find nothing wrong with it.
func (s *schema) surely(data []byte, parts int) bool {
	w := s.walk(data, parts)
	return w.sure(s)
}

func (s *schema) walk(data []byte, parts int) walk {
	return walk{
		data:  data,
		steps: freeSteps + stepsPerPart*int64(parts) - 2*int64(1+parts), // the library begins with two rules more
		back:  16<<10 + 8*int64(len(data)),
	}
}

func (w *walk) sure(s *schema) bool {
	w.next()
	r := s.copies.rules[s.pointer]
	return r != nil && w.fits(r) && !w.unsure
}

// no is the answer that something does not fit.
func (w *walk) no() bool {
	if w.trying == 0 {
		w.unsure = true
	}
	return false
}

// again goes back to where a value begins.
func (w *walk) again(from int) {
	if w.back -= int64(w.at - from); w.back < 0 {
		w.unsure = true
	}
	w.at = from
}

// fits goes over the value that begins here and reports whether it fits r. It
// looks at all that the library may look at, so that it counts no fewer steps,
// even if it knows the answer before. Anything fits nil. Once w is unsure, it
// goes over nothing, and its answer means nothing.
func (w *walk) fits(r *rule) bool {
	from := w.at
	if w.unsure = w.unsure || r != nil && r.ask; w.unsure {
		return false
	}
	if r == nil || r.any {
		w.skip()
		return true
	}
	ok := r.bare || w.value(r)
	if r.same != nil && !w.unsure {
		ok = w.same(r.same, from) && ok
	}
	if w.steps -= r.steps + int64(w.count); w.steps < 0 {
		w.unsure = true
	}
	return ok
}

// value is fits but for what other rules say of the same value.
func (w *walk) value(r *rule) bool {
	kind := w.kind()
	if r.kinds&kind == 0 || len(r.constants) > 0 && kind&nested != 0 {
		w.skip()
		return w.no()
	}
	switch {
	case kind == kindObject && r.members != nil:
		return w.members(r.members)
	case kind == kindArray && r.items != nil:
		return w.items(r.items)
	case kind == kindText:
		return w.text(r)
	case kind == kindNumber:
		return w.number(r)
	}
	from := w.at
	w.skip()
	if kind&nested == 0 {
		for _, c := range r.constants {
			if !c.words[string(w.data[from:w.at])] {
				return w.no()
			}
		}
	}
	return true
}

// same is fits of what other rules say of the value that begins at from.
func (w *walk) same(s *sameRule, from int) bool {
	ok := true
	for _, r := range s.all {
		w.again(from)
		ok = w.fits(r) && ok
	}
	if s.not != nil && w.try(s.not, from) {
		ok = w.no()
	}
	if len(s.some) > 0 && w.fitting(s.some, 1, from) != 1 {
		ok = w.no()
	}
	if len(s.one) > 0 && w.fitting(s.one, 2, from) != 1 {
		ok = w.no()
	}
	if s.when == nil {
		return ok
	}
	r := s.els
	if w.try(s.when, from) {
		r = s.then
	}
	if r != nil {
		w.again(from)
		ok = w.fits(r) && ok
	}
	return ok
}

// try is fits where it is an answer as good as another that the value that
// begins at from does not.
func (w *walk) try(r *rule, from int) bool {
	w.again(from)
	w.trying++
	ok := w.fits(r)
	w.trying--
	return ok
}

// fitting counts which of all the value that begins at from fits, until they
// are enough.
func (w *walk) fitting(all []*rule, enough, from int) (n int) {
	for _, r := range all {
		if w.try(r, from) {
			n++
		}
		if n == enough {
			break
		}
	}
	return n
}

func (w *walk) members(m *memberRule) bool {
	ok, count, required := true, 0, 0
	w.at++
	for ; w.next() != '}'; count++ {
		name, escaped := w.quoted()
		if escaped {
			w.unsure = true
			return false
		}
		w.next()
		named := m.of(name)
		if named.required {
			required++
		}
		ok = w.member(m, named.rule, name) && ok
		if w.unsure {
			return false
		}
	}
	w.at++
	w.count = count
	return ok && (required == m.required && m.count.holds(count) || w.no())
}

// member goes over the value of a member that has the rule named, or none.
func (w *walk) member(m *memberRule, named *rule, name []byte) bool {
	from, ok := w.at, true
	if named != nil {
		ok = w.fits(named)
	}
	for _, p := range m.patterns {
		if p.name.Match(name) {
			w.again(from)
			ok = w.fits(p.rule) && ok
		}
	}
	if w.at == from {
		return w.fits(m.rest)
	}
	return ok
}

func (w *walk) items(i *itemRule) bool {
	ok, count := true, 0
	w.at++
	for ; w.next() != ']'; count++ {
		r := i.rest
		if count < len(i.first) {
			r = i.first[count]
		}
		ok = w.fits(r) && ok
		if w.unsure {
			return false
		}
	}
	w.at++
	w.count = count
	return ok && (i.count.holds(count) || w.no())
}
