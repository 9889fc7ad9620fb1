package validation

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"sidecar/internal/exchange"
)

// place is what a schema is called within itself. It is nowhere: what it names
// relative to itself is not to be found.
const place = "schema:///this"

// schema says what JSON values must be. It is safe for concurrent use.
type schema struct{ compiled *jsonschema.Schema }

// newSchema returns the JSON Schema in data.
func newSchema(data []byte) (*schema, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("must be JSON: %w", err)
	}
	switch doc.(type) {
	case map[string]any, bool:
	default:
		return nil, errors.New("must be a JSON Schema: an object, or a boolean")
	}
	c, err := newCompiler(doc, jsonschema.Draft2020)
	if err != nil {
		return nil, err
	}
	return c.schema("")
}

// compiler makes schemas of the parts of one document.
type compiler struct{ *jsonschema.Compiler }

// newCompiler returns one for doc, whose schemas are of that draft unless they
// say another.
func newCompiler(doc any, draft *jsonschema.Draft) (compiler, error) {
	c := jsonschema.NewCompiler()
	c.DefaultDraft(draft)
	c.UseLoader(nothing{})
	c.AssertFormat()
	if err := c.AddResource(place, doc); err != nil {
		return compiler{}, fmt.Errorf("must hold a JSON Schema: %s", compileProblem(err))
	}
	return compiler{c}, nil
}

// schema returns the schema at a JSON Pointer.
func (c compiler) schema(pointer string) (*schema, error) {
	at := url.URL{Fragment: pointer}
	compiled, err := c.Compile(place + "#" + at.EscapedFragment())
	if err != nil {
		return nil, fmt.Errorf("must hold a JSON Schema: %s", compileProblem(err))
	}
	return &schema{compiled}, nil
}

// nothing loads no file and asks no network.
type nothing struct{}

func (nothing) Load(url string) (any, error) {
	return nil, fmt.Errorf("%s is another file; put what is referred to under $defs", strings.TrimPrefix(url, "schema:///"))
}

// compileProblem returns what a compiler says, in one line and without the
// place that is none.
func compileProblem(err error) string {
	var invalid *jsonschema.SchemaValidationError
	if errors.As(err, &invalid) {
		err = invalid.Err
	}
	var wrong *jsonschema.ValidationError
	if errors.As(err, &wrong) {
		for len(wrong.Causes) > 0 {
			wrong = wrong.Causes[0] // what is around it says less
		}
		err = wrong
	}
	var load *jsonschema.LoadURLError
	if errors.As(err, &load) {
		err = load.Err
	}
	return strings.ReplaceAll(line(err), place, "")
}

// check adds to all what is wrong with value.
func (s *schema) check(value any, all *findings) {
	err := s.compiled.Validate(value)
	if err == nil {
		return
	}
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		all.add(exchange.Violation{Pointer: new(""), Detail: "does not fit the schema"}, "")
		return
	}
	leaves(invalid, func(e *jsonschema.ValidationError) {
		at := strings.TrimPrefix(e.SchemaURL, place)
		at = strings.Join(append([]string{at}, e.ErrorKind.KeywordPath()...), "/")
		all.add(exchange.Violation{Pointer: new(pointer(e.InstanceLocation)), Detail: expected(e.ErrorKind)}, at)
	})
}

// leaves calls each with the errors that are not about others. What is wrong
// with each of several alternatives is one error.
func leaves(e *jsonschema.ValidationError, each func(*jsonschema.ValidationError)) {
	switch e.ErrorKind.(type) {
	case *kind.AnyOf, *kind.OneOf:
		each(e)
		return
	}
	if len(e.Causes) == 0 {
		each(e)
		return
	}
	for _, cause := range e.Causes {
		leaves(cause, each)
	}
}

// pointer returns a JSON Pointer (RFC 6901).
func pointer(path []string) string {
	var b strings.Builder
	for _, name := range path {
		b.WriteByte('/')
		b.WriteString(step(name))
	}
	return b.String()
}

var escaper = strings.NewReplacer("~", "~0", "/", "~1")

// step returns a step of a JSON Pointer.
func step(name string) string { return escaper.Replace(name) }
