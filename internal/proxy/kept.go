package proxy

import (
	"cmp"
	"maps"
	"slices"

	"sidecar/internal/policy"
)

// state is what survives a reload that does not change its policy.
type state map[instance]held

// Kinds of state that are no policy's.
const (
	pool        = "pool"        // an upstream's connections
	retryBudget = "retryBudget" // an upstream's
)

// instance says which state object it is: standard@orders of the circuit
// breakers.
type instance struct{ kind, name string }

// held is a state object and the policy it was made for.
type held struct {
	fingerprint string
	object      any
}

// take returns the state object called name, which the next snapshot goes on
// with: that of the snapshot before, if its policy is the same, else a fresh
// one. An object that has a Start method runs from when the snapshot is
// applied, one that has a Close method until no snapshot goes on with it.
// Start may be called again while it runs, and requests may still come after
// Close.
func take[S any](b *builder, kind, name string, config any, fresh func() S) S {
	at := instance{kind, name}
	if have, ok := b.next[at].object.(S); ok {
		return have // another route uses the same
	}
	fingerprint := policy.Fingerprint(config)
	have, ok := b.old[at].object.(S)
	if !ok || b.old[at].fingerprint != fingerprint {
		have = fresh()
	}
	b.next[at] = held{fingerprint, have}
	return have
}

// objects returns the state objects of that type, by kind and name.
func objects[S any](s state) []S {
	var all []S
	for _, at := range s.sorted() {
		if object, ok := s[at].object.(S); ok {
			all = append(all, object)
		}
	}
	return all
}

// object returns the state object of that kind and name.
func object[S any](s state, kind, name string) (S, bool) {
	o, ok := s[instance{kind, name}].object.(S)
	return o, ok
}

func (s state) sorted() []instance {
	return slices.SortedFunc(maps.Keys(s), func(a, b instance) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.name, b.name))
	})
}

// start begins what runs beside requests.
func (s state) start() {
	for _, o := range objects[interface{ Start() }](s) {
		o.Start()
	}
}

// close ends what next does not go on with.
func (s state) close(next state) {
	for _, at := range s.dropped(next) {
		if o, ok := s[at].object.(interface{ Close() }); ok {
			o.Close()
		}
	}
}

// dropped returns what next does not go on with.
func (s state) dropped(next state) []instance {
	return slices.DeleteFunc(s.sorted(), func(at instance) bool { return next[at].object == s[at].object })
}

// title returns how the state object at is called where people read of it.
// What an issuer is asked for is kept under all that makes it what it is.
func (s state) title(at instance) string {
	name := at.name
	if o, ok := s[at].object.(interface{ Issuer() string }); ok {
		name = o.Issuer()
	}
	return at.kind + "/" + name
}
