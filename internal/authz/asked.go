package authz

import (
	"maps"
	"net/http"
	"net/netip"
	"slices"

	"sidecar/internal/exchange"
)

// asked is what rules are asked about: one request, in one reading of its path.
type asked struct {
	*http.Request
	path      string
	host      string // without port; where no rule asks for it, empty
	client    netip.Addr
	principal *exchange.Principal // nil: nobody is proven
	spelled   bool                // some field's name may be read as another's
}

// values returns what the field called name says, in every spelling.
func (a *asked) values(name string) []string {
	if !a.spelled {
		return exchange.Values(a.Request, name)
	}
	return spellings(a.Request, name)
}

// announces reports whether a field called name, in any spelling, is to come as
// a trailer. Some upstreams merge those into the header, and its value is not
// known before the body's end.
func (a *asked) announces(name string) bool {
	for key := range a.Trailer {
		if exchange.ReadAs(key, name) {
			return true
		}
	}
	return false
}

// spellings returns what r says in the field called name, and in those that
// CGI and its heirs take for it.
func spellings(r *http.Request, name string) []string {
	values := exchange.Values(r, name)
	for _, key := range slices.Sorted(maps.Keys(r.Header)) {
		if key != name && exchange.ReadAs(key, name) {
			values = slices.Concat(values, r.Header[key])
		}
	}
	return values
}

// spelled reports whether a field of h is named so that an upstream may read it
// as another.
func spelled(h http.Header) bool {
	for key := range h {
		if exchange.Marked(key) {
			return true
		}
	}
	return false
}
