package validation

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// jsonText returns the value of a parameter that is there and is a JSON text,
// and the schema that it must fit: nil if it is none.
func (o *operation) jsonText(r *http.Request, query url.Values, p *openapi3.Parameter) (s *schema, text string) {
	for kind, media := range p.Content { // there is one
		if s = o.schemas[media]; s == nil || !isJSON(kind) {
			return nil, ""
		}
	}
	values := o.values(r, query, p)
	if s == nil || len(values) == 0 {
		return nil, ""
	}
	return s, values[0]
}

// textProblem says what is wrong with a JSON text; "" is nothing. It has the
// bounds that a body has.
func (v *Validation) textProblem(text string, s *schema) string {
	scan := scanner{data: []byte(text), depth: v.json.MaxDepth, tokens: v.json.MaxTokens, unique: true}
	if err := scan.scan(); err != nil {
		return "cannot be accepted: " + err.Error()
	}
	if s.surely(scan.data, scan.count) {
		return ""
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil { // the scan would have said it
		return "must be JSON"
	}
	var all findings
	if s.check(document{value, scan.count, scan.deepest}, v.buffers, &all) != nil {
		return "takes more steps to hold against the schema than are accepted"
	}
	told, _ := all.told()
	switch {
	case len(told) == 0:
		return ""
	case *told[0].Pointer == "":
		return told[0].Detail
	}
	return "at " + *told[0].Pointer + " " + told[0].Detail
}
