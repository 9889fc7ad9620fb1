package validation

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"sidecar/internal/exchange"
)

// inspection is how one body is looked into.
type inspection struct {
	*Validation
	coding   string    // gzip, deflate or none
	isJSON   bool      // it says so
	schemas  []*schema // that it must fit
	required bool      // there must be one
}

// inspect returns how the body of r is to be looked into, nil if it is not; or
// a refusal for what its header says. op is nil where there is no description.
func (v *Validation) inspect(r *http.Request, op *operation) (*inspection, error) {
	if !v.reads {
		return nil, nil
	}
	types := r.Header["Content-Type"]
	i := &inspection{Validation: v, isJSON: slices.ContainsFunc(types, isJSON)}
	if v.schema != nil {
		i.required = slices.Contains([]string{"POST", "PUT", "PATCH"}, r.Method)
		i.schemas = append(i.schemas, v.schema)
	}
	if op != nil {
		i.required = i.required || op.bodyRequired()
	}
	if r.ContentLength == 0 {
		if i.required {
			return nil, v.missing()
		}
		return nil, nil
	}
	if v.schema != nil && (!i.isJSON || len(types) != 1) {
		return nil, v.refuse(exchange.BadContentType, "accepted is JSON", "Accept", "application/json, application/*+json")
	}
	if op != nil {
		if err := i.describe(r, op); err != nil {
			return nil, err
		}
	}
	if !i.isJSON {
		return nil, nil
	}
	var ok bool
	if i.coding, ok = contentCoding(r.Header["Content-Encoding"]); !ok {
		return nil, v.refuse(exchange.BadEncoding, "accepted are "+accepted, "Accept-Encoding", accepted)
	}
	return i, nil
}

func (v *Validation) missing() error {
	return v.refuse(exchange.BodyMalformed, "a body is required", "", "")
}

// describe adds what the description of an API wants of the body of r.
func (i *inspection) describe(r *http.Request, op *operation) error {
	media, accept, ok := op.media(r)
	switch {
	case !ok && accept == "":
		return i.refuse(exchange.BodyMalformed, "a body is not accepted here", "", "")
	case !ok:
		return i.refuse(exchange.BadContentType, "accepted are "+accept, "Accept", accept)
	}
	if s := op.schemas[media]; s != nil && i.isJSON {
		i.schemas = append(i.schemas, s)
	}
	return nil
}

// judge returns what is wrong with a body, as it was sent. It takes the memory
// that it needs from s, and the caller frees it.
func (i *inspection) judge(data []byte, s *share) *exchange.Refusal {
	if len(data) == 0 {
		if i.required {
			return i.refuse(exchange.BodyMalformed, "a body is required", "", "")
		}
		return nil
	}
	if i.coding != "" {
		decoded, err := decode(i.coding, data, i.maxBody, s)
		switch {
		case errors.Is(err, errFull):
			return i.full()
		case errors.Is(err, errExpands):
			return i.refuse(exchange.BodyTooLarge, fmt.Sprintf("at most %d bytes are accepted, and %d times what is sent", i.maxBody, maxRatio), "", "")
		case err != nil:
			return i.refuse(exchange.BodyMalformed, err.Error(), "", "")
		}
		data = decoded
	}
	scan := scanner{data: data, depth: i.json.MaxDepth, tokens: i.json.MaxTokens, unique: len(i.schemas) > 0}
	if err := scan.scan(); errors.Is(err, errComplex) {
		return i.refuse(exchange.BodyTooComplex, strings.TrimPrefix(err.Error(), errComplex.Error()+": "), "", "")
	} else if err != nil {
		return i.refuse(exchange.BodyMalformed, err.Error(), "", "")
	}
	if len(i.schemas) == 0 {
		return nil
	}
	return i.fit(data, &scan, s)
}

// perToken is about what a value or name takes in memory, beside its text.
const perToken = 256

// fit returns where data, as it was scanned, does not fit the schemas.
func (i *inspection) fit(data []byte, scan *scanner, s *share) *exchange.Refusal {
	if !slices.ContainsFunc(i.schemas, func(s *schema) bool { return !s.surely(data, scan.count) }) {
		return nil
	}
	if !s.take(int64(scan.count)*perToken + int64(len(data))) {
		return i.full()
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil { // the scan would have said it
		return i.refuse(exchange.BodyMalformed, "not JSON", "", "")
	}
	var all findings
	for _, s := range i.schemas {
		if s.check(document{value, scan.count, scan.deepest}, i.buffers, &all) != nil {
			return i.refuse(exchange.BodyTooComplex, "to hold it against the schema takes more steps than are accepted", "", "")
		}
	}
	if all.count == 0 {
		return nil
	}
	f := i.refuse(exchange.SchemaViolation, all.String(), "", "")
	f.Errors, f.MoreErrors = all.told()
	f.Note = fmt.Sprintf("%v, one of %s", all, all.at)
	return f
}
