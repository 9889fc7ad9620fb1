package validation

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// values returns the texts that the parameter p has in r.
func (o *operation) values(r *http.Request, query url.Values, p *openapi3.Parameter) (values []string) {
	switch p.In {
	case openapi3.ParameterInPath:
		return []string{o.params[p.Name]}
	case openapi3.ParameterInQuery:
		return query[p.Name]
	case openapi3.ParameterInHeader:
		return r.Header.Values(p.Name)
	case openapi3.ParameterInCookie:
		for _, cookie := range r.CookiesNamed(p.Name) {
			values = append(values, cookie.Value)
		}
	}
	return values
}

// loose says what is wrong with a parameter that the library takes; "" is
// nothing. To it T and 1 are booleans and 01 is a number, which servers read in
// different ways.
func (o *operation) loose(r *http.Request, query url.Values, p *openapi3.Parameter) string {
	if p.Schema == nil || p.Schema.Value == nil || p.Style == "label" || p.Style == "matrix" {
		return ""
	}
	s := p.Schema.Value
	if s.Type.Is(openapi3.TypeArray) && s.Items != nil && s.Items.Value != nil {
		s = s.Items.Value
	}
	if s.Type == nil {
		return ""
	}
	for _, value := range o.values(r, query, p) {
		// What the library takes for these types holds no separator itself.
		for text := range strings.FieldsFuncSeq(value, func(c rune) bool { return strings.ContainsRune(" ,|", c) }) {
			if !asJSON(text, *s.Type) {
				return "must be of type " + strings.Join(*s.Type, " or ") + " as JSON writes it"
			}
		}
	}
	return ""
}

// asJSON reports whether JSON writes a value of one of types like text.
func asJSON(text string, types openapi3.Types) bool {
	for _, kind := range types {
		switch kind {
		case openapi3.TypeBoolean:
			if text == "true" || text == "false" {
				return true
			}
		case openapi3.TypeInteger, openapi3.TypeNumber:
			if json.Valid([]byte(text)) && strings.Trim(text[:1], "-0123456789") == "" {
				return true
			}
		case openapi3.TypeNull:
		default:
			return true
		}
	}
	return false
}
