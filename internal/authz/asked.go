package authz

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"sidecar/internal/exchange"
)

// asked is what rules are asked about: one request, in one reading of its path.
type asked struct {
	*http.Request
	path      string
	host      string // without port
	client    netip.Addr
	principal *exchange.Principal // nil: nobody is proven
	spelled   bool                // some field's name may be read as another's
}

// values returns what the field called name says, in every spelling: CGI and
// its heirs make no difference between - and _.
func (a *asked) values(name string) []string {
	values := exchange.Values(a.Request, name)
	if !a.spelled {
		return values
	}
	for key, more := range a.Header {
		if strings.Contains(key, "_") && http.CanonicalHeaderKey(strings.ReplaceAll(key, "_", "-")) == name {
			values = slices.Concat(values, more)
		}
	}
	return values
}

// spelled reports whether a field of h is named so that an upstream may read it
// as another.
func spelled(h http.Header) bool {
	for key := range h {
		if strings.Contains(key, "_") {
			return true
		}
	}
	return false
}
