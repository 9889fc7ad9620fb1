package validation

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"sidecar/internal/exchange"
)

// options keep the library from changing the request, and from authenticating
// it, which is not this gate's.
var options = &openapi3filter.Options{
	SkipSettingDefaults: true,
	MultiError:          true,
	AuthenticationFunc:  openapi3filter.NoopAuthenticationFunc,
}

// problem says what is wrong with the parameter p of r; "" is nothing.
func (o *operation) problem(r *http.Request, query url.Values, p *openapi3.Parameter) string {
	if repeated(r, query, p) {
		return "must not be repeated"
	}
	if p.In == openapi3.ParameterInHeader && len(spellings(r, p.Name)) != len(r.Header.Values(p.Name)) {
		return "must be spelled as it is described"
	}
	if p.In == openapi3.ParameterInCookie && cookies(r, p.Name) != len(r.CookiesNamed(p.Name)) {
		return "must be a cookie as RFC 6265 has it, among few others"
	}
	if s, _ := o.jsonText(r, query, p); s != nil {
		return "" // its schema alone is left to look at
	}
	err := openapi3filter.ValidateParameter(r.Context(), &openapi3filter.RequestValidationInput{
		Request: r, PathParams: o.params, QueryParams: query, Route: o.Route, Options: options,
	}, p)
	if err == nil {
		return o.loose(r, query, p)
	}
	var invalid *jsonschema.ValidationError
	var wrong *openapi3.SchemaError
	switch {
	case errors.Is(err, openapi3filter.ErrInvalidRequired):
		return "is required"
	case errors.Is(err, openapi3filter.ErrInvalidEmptyValue):
		return "must not be empty"
	case errors.As(err, &invalid):
		detail := ""
		leaves(invalid, func(e *jsonschema.ValidationError) {
			if detail == "" {
				detail = expected(e.ErrorKind)
			}
		})
		return detail
	case errors.As(err, &wrong) && wrong.Schema != nil:
		return demanded(wrong.SchemaField, wrong.Schema)
	case p.Schema != nil && p.Schema.Value != nil && p.Schema.Value.Type != nil:
		return "must be of type " + strings.Join(*p.Schema.Value.Type, " or ")
	}
	return "cannot be read as described"
}

// repeated reports whether p stands in r more often than it is looked at: the
// library takes the first, and the upstream may take the last.
func repeated(r *http.Request, query url.Values, p *openapi3.Parameter) bool {
	switch p.In {
	case openapi3.ParameterInHeader:
		return len(spellings(r, p.Name)) > 1
	case openapi3.ParameterInCookie:
		return cookies(r, p.Name) > 1
	case openapi3.ParameterInQuery:
		if len(query[p.Name]) < 2 {
			return false
		}
		how, err := p.SerializationMethod()
		list := p.Schema != nil && p.Schema.Value != nil && p.Schema.Value.Type.Is(openapi3.TypeArray)
		return err != nil || !list || !how.Explode
	}
	return false
}

// spellings returns the values of the field called name, and of those that an
// upstream may read as it.
func spellings(r *http.Request, name string) (values []string) {
	name = exchange.Dashed(http.CanonicalHeaderKey(name))
	for key, have := range r.Header {
		if exchange.ReadAs(key, name) {
			values = append(values, have...)
		}
	}
	return values
}

// cookies returns how many cookies of that name r has. net/http leaves out
// those that are not well formed, and all where they are many; an upstream may
// read them.
func cookies(r *http.Request, name string) (n int) {
	for _, field := range r.Header["Cookie"] {
		for pair := range strings.SplitSeq(field, ";") {
			if key, _, _ := strings.Cut(pair, "="); strings.TrimSpace(key) == name {
				n++
			}
		}
	}
	return n
}

// demanded says what a schema wants of a parameter, by the keyword that is not
// satisfied. What the library says by itself repeats what was there.
func demanded(keyword string, s *openapi3.Schema) string {
	switch keyword {
	case "type":
		if s.Type != nil {
			return "must be of type " + strings.Join(*s.Type, " or ")
		}
	case "enum":
		return oneOf(s.Enum)
	case "format":
		return "must have the format " + s.Format
	case "pattern":
		return "must match " + s.Pattern
	case "minLength":
		return fmt.Sprintf("must have at least %d characters", s.MinLength)
	case "maxLength":
		if s.MaxLength != nil {
			return fmt.Sprintf("must have at most %d characters", *s.MaxLength)
		}
	case "minimum":
		if s.Min != nil {
			return "must be at least " + number(*s.Min)
		}
	case "maximum":
		if s.Max != nil {
			return "must be at most " + number(*s.Max)
		}
	}
	return "does not fit: " + keyword
}

func number(f float64) string {
	text, err := json.Marshal(f)
	if err != nil {
		return ""
	}
	return string(text)
}
