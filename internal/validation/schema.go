package validation

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"sidecar/internal/exchange"
)

// place is what a schema is called within itself. It is nowhere: what it names
// relative to itself is not to be found.
const place = "schema:///this"

// schema says what JSON values must be. It is safe for concurrent use.
type schema struct {
	copies  *copies
	pointer string
}

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
	all, err := newCopies(doc, jsonschema.Draft2020, map[string]string{"": ""})
	if err != nil {
		return nil, err
	}
	return &schema{copies: all}, nil
}

// nothing loads no file and asks no network.
type nothing struct {
	draft string // that the document says it is of, which would be loaded if it is not known
}

// notLoading returns nothing for doc.
func notLoading(doc any) nothing {
	node, _ := doc.(map[string]any)
	draft, _ := node["$schema"].(string)
	draft, _, _ = strings.Cut(draft, "#")
	return nothing{draft}
}

func (n nothing) Load(url string) (any, error) {
	if url == n.draft {
		return nil, fmt.Errorf("$schema must be draft-04, draft-06, draft-07, 2019-09 or 2020-12, got %q", url)
	}
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

// document is a JSON value, and what is known of it.
type document struct {
	value any
	parts int // values and names
	depth int // of its arrays and objects
}

// check adds to all what is wrong with d. What it keeps meanwhile it takes from
// b. Its error is errComplex where that takes too many steps.
func (s *schema) check(d document, b *Buffers, all *findings) error {
	c, err := s.copies.take()
	if err != nil {
		return err // it was compiled before
	}
	defer s.copies.put(c)
	schema, m := c.schemas[s.pointer], &c.meter
	*m = meter{left: freeSteps + stepsPerPart*int64(d.parts)}
	fits := false
	if err := m.run(func() error { fits = schema.not.Validate(d.value) != nil; return nil }); err != nil || fits {
		return err
	}
	*m = meter{
		left: m.left, share: &share{buffers: b},
		room: min(b.limit/2, freeRoom+roomPerPart*int64(d.parts)),
		each: 256 + 16*int64(d.depth), // it names each level that it is in
	}
	defer m.share.free()
	err = m.run(func() error { return schema.tells.Validate(d.value) })
	if invalid, ok := errors.AsType[*jsonschema.ValidationError](err); ok {
		leaves(invalid, func(e *jsonschema.ValidationError) { all.add(violation(e)) })
		return nil
	}
	all.add(exchange.Violation{Pointer: new(""), Detail: "does not fit the schema, and is too much to tell where"}, "#")
	return nil
}

// violation returns what is wrong, and where in the schema that is said.
func violation(e *jsonschema.ValidationError) (v exchange.Violation, at string) {
	at = strings.TrimPrefix(e.SchemaURL, place)
	at = strings.Join(append([]string{at}, e.ErrorKind.KeywordPath()...), "/")
	return exchange.Violation{Pointer: new(pointer(e.InstanceLocation)), Detail: expected(e.ErrorKind)}, at
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
