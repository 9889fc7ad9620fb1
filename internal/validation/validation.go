// Package validation is the gate that refuses requests by their form.
//
// It stands first, since what it refuses has cost nothing yet, and it looks at
// the cheapest thing first: the method, the length of the URL, the headers,
// the query, the content type, the size of the body. It reads a body only where
// the policy says what must be in it; else it bounds how much of it others can
// read.
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

	queryRules *queryRules // nil: none

	reads    bool // bodies, for one of these
	json     JSON
	schema   *schema   // nil: none
	contract *contract // nil: none
	buffers  *Buffers
}

// New returns the policy called name. c must be valid. readFile returns the
// files that c names; nil: they are not looked at, and what they would demand
// is not. An error is an *exchange.FieldError.
func New(name string, c Config, readFile func(string) ([]byte, error), buffers *Buffers) (*Validation, error) {
	v := newValidation(name, c, buffers)
	if readFile == nil {
		return v, nil
	}
	if c.JSONSchema != "" {
		var err error
		if v.schema, err = loadSchema(c.JSONSchema, readFile); err != nil {
			return nil, &exchange.FieldError{Field: "jsonSchema", Problem: err.Error()}
		}
	}
	if c.OpenAPIFile != "" {
		data, err := readFile(c.OpenAPIFile)
		if err == nil {
			v.contract, err = newContract(data)
		}
		if err != nil {
			return nil, &exchange.FieldError{Field: "openapi", Problem: err.Error()}
		}
	}
	return v, nil
}

func newValidation(name string, c Config, buffers *Buffers) *Validation {
	limits := c.JSONLimits
	if limits == nil {
		limits = new(JSON)
		limits.SetDefaults()
	}
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

		queryRules: newQueryRules(c.Query),

		reads: c.reads(), json: *limits, buffers: buffers,
	}
}

func canonical(names []string) []string {
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = http.CanonicalHeaderKey(name)
	}
	return out
}

// Check returns nil or a *exchange.Refusal, or the error with which the body
// could not be read. Where the policy says what must be in a body, r.Body is
// replaced by one in memory; else, when the body does not say how long it is,
// by one that ends, in a *exchange.Refusal too, before it has delivered more
// than MaxBody. In shadow it is replaced by one that only notes what would
// have been refused while it is read.
func (v *Validation) Check(r *http.Request) error {
	if err := v.checkHead(r); err != nil {
		return err
	}
	op, err := v.checkTarget(r)
	if err != nil {
		return err
	}
	if r.ContentLength != 0 { // -1 is a body of unknown length
		if len(v.types) > 0 && !v.types.match(r.Header["Content-Type"]) {
			// RFC 9110 section 15.5.16: Accept tells what would be accepted.
			return v.refuse(exchange.BadContentType, "accepted are "+v.types.String(), "Accept", v.types.String())
		}
	}
	i, err := v.inspect(r, op)
	if err != nil {
		return err
	}
	return v.checkBody(r, i)
}

// checkHead looks at the method, the length of the URL and the fields.
func (v *Validation) checkHead(r *http.Request) error {
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
	if len(v.deny) > 0 {
		if name := v.denied(r); name != "" {
			return v.refuse(exchange.HeaderDenied, name+" is not allowed", "", "")
		}
	}
	return nil
}

// denied returns the first name of the policy that r has a field of, or one that
// an upstream may read as such, as CGI and its heirs do: with other hyphens, or
// in its trailers; "" if there is none.
func (v *Validation) denied(r *http.Request) string {
	at := len(v.deny)
	for i, name := range v.deny {
		if has(r, name) {
			at = i
			break
		}
	}
	// The fields are walked once, whatever the number of names: that is what
	// takes most of the time.
	for key := range r.Header {
		at = v.readAs(key, at)
	}
	for key := range r.Trailer {
		at = v.readAs(key, at)
	}
	if at == len(v.deny) {
		return ""
	}
	return v.deny[at]
}

// readAs returns which of the denied names before the one numbered end a field
// called key is read as; end if none.
func (v *Validation) readAs(key string, end int) int {
	for i, name := range v.deny[:end] {
		if exchange.ReadAs(key, name) {
			return i
		}
	}
	return end
}

// checkTarget looks at the query and, where an API is described, returns the
// operation that r asks for.
func (v *Validation) checkTarget(r *http.Request) (*operation, error) {
	if v.queryRules == nil && v.contract == nil {
		return nil, nil
	}
	query, err := v.query(r.URL.RawQuery)
	if err != nil || v.contract == nil {
		return nil, err
	}
	op, allowed := v.contract.find(r)
	switch {
	case len(allowed) > 0:
		return nil, v.refuse(exchange.MethodNotAllowed, "", "Allow", strings.Join(allowed, ", "))
	case op == nil:
		return nil, v.refuse(exchange.OperationUnknown, "", "", "")
	}
	var all findings
	for _, wrong := range v.parameterProblems(op, r, query) {
		all.add(wrong, "")
	}
	if all.count > 0 {
		f := v.refuse(exchange.ParameterInvalid, all.String(), "", "")
		f.Errors, f.MoreErrors = all.told()
		return nil, f
	}
	return op, nil
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
