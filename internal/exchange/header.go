package exchange

import (
	"context"
	"net/http"
)

// A Teller is the context of an upstream call that knows the header of its
// request. The request then has none of its own: mostly nobody but the
// upstream looks at it, and to write it costs less than to make a map first. It
// is for the goroutine of the exchange.
type Teller interface {
	context.Context
	// Tell gives to the fields, each once and in no order, until it wants no more.
	Tell(to Fields)
	// Header returns them as a map, which the caller must not change.
	Header() http.Header
}

// Fields takes the fields of a header.
type Fields interface {
	// Field takes one, its name in canonical form. It does not keep values. It
	// reports whether it wants more.
	Field(name string, values []string) bool
}

type tellerKey struct{}

// HeaderOf returns the header of r, wherever that is. It is what a Layer looks
// at in place of r.Header, and must not be changed.
func HeaderOf(r *http.Request) http.Header {
	if r.Header != nil {
		return r.Header
	}
	if t, ok := r.Context().Value(tellerKey{}).(Teller); ok {
		return t.Header()
	}
	return nil
}
