// Package validation is the gate that refuses requests by their form.
//
// It stands first, since what it refuses has cost nothing yet, and it looks at
// the cheapest thing first: the method, the length of the URL, the headers,
// the content type, the size of the body. It never reads a body; it bounds how
// much of it others can read.
package validation

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"sidecar/internal/exchange"
)

// Validation is one policy, ready to check requests. It is immutable and safe
// for concurrent use.
type Validation struct {
	name   string
	line   int
	shadow bool
	allow  string // of a 405; as the policy lists the methods

	methods []string
	maxURL  int64
	maxBody int64
	types   mediaRanges
	require []string // canonical names
	deny    []string // canonical names
}

// New returns the policy called name. c must be valid.
func New(name string, c Config) *Validation {
	return &Validation{
		name:    name,
		line:    c.Line,
		shadow:  c.Mode == exchange.ModeShadow,
		allow:   strings.Join(c.Methods, ", "),
		methods: slices.Clone(c.Methods),
		maxURL:  int64(c.MaxURL),
		maxBody: int64(c.MaxBody),
		types:   newMediaRanges(c.ContentTypes),
		require: canonical(c.Headers.Require),
		deny:    canonical(c.Headers.Deny),
	}
}

func canonical(names []string) []string {
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = http.CanonicalHeaderKey(name)
	}
	return out
}

// Check returns nil or a *exchange.Refusal. When the body does not say how
// long it is, r.Body is replaced by one that ends, in a *exchange.Refusal too,
// before it has delivered more than MaxBody; in shadow, by one that only notes
// where it would end.
func (v *Validation) Check(r *http.Request) error {
	if len(v.methods) > 0 && !slices.Contains(v.methods, r.Method) {
		// RFC 9110 section 15.5.6 demands Allow.
		return v.refuse(exchange.MethodNotAllowed, "", "Allow", v.allow)
	}
	if n := int64(len(r.RequestURI)); v.maxURL > 0 && n > v.maxURL {
		return v.refuse(exchange.URITooLong, fmt.Sprintf("the URL has %d bytes, at most %d are accepted", n, v.maxURL), "", "")
	}
	for _, name := range v.require {
		if !has(r, name) {
			return v.refuse(exchange.HeaderMissing, name+" is required", "", "")
		}
	}
	for _, name := range v.deny {
		if has(r, name) {
			return v.refuse(exchange.HeaderDenied, name+" is not allowed", "", "")
		}
	}
	if r.ContentLength == 0 { // -1 is a body of unknown length
		return nil
	}
	if len(v.types) > 0 && !v.types.match(r.Header["Content-Type"]) {
		// RFC 9110 section 15.5.16: Accept tells what would be accepted.
		return v.refuse(exchange.BadContentType, "accepted are "+v.types.String(), "Accept", v.types.String())
	}
	return v.checkBody(r)
}

// has reports whether r has the header field, also one that net/http takes
// out of r.Header.
func has(r *http.Request, name string) bool {
	switch name {
	case "Host":
		return r.Host != ""
	case "Transfer-Encoding":
		return len(r.TransferEncoding) > 0
	case "Trailer":
		return len(r.Trailer) > 0
	}
	return len(r.Header[name]) > 0
}

func (v *Validation) refuse(reason exchange.Reason, detail, key, value string) *exchange.Refusal {
	f := &exchange.Refusal{Kind: exchange.Validation, Policy: v.name, Reason: reason, Detail: detail, Line: v.line}
	if key != "" {
		f.Header = http.Header{key: {value}}
	}
	return f
}
