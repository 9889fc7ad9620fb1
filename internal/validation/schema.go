package validation

import (
	"errors"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"sidecar/internal/exchange"
)

// place is what a document is called within itself that is nowhere: what it
// names relative to itself is not to be found.
const place = "schema:///this"

// schema says what JSON values must be. It is safe for concurrent use.
type schema struct {
	copies  *copies
	pointer string
}

// loadSchema returns the JSON Schema in the file called name, with those that
// it refers to.
func loadSchema(name string, read func(name string) ([]byte, error)) (*schema, error) {
	data, err := read(name)
	if err != nil {
		return nil, err
	}
	doc, err := parseSchema(data)
	if err != nil {
		return nil, err
	}
	d := source{doc: doc, place: placeOf(name), draft: jsonschema.Draft2020, files: newLibrary(doc, read)}
	all, err := newCopies(d, map[string]string{"": ""})
	d.files.read = nil // later copies are compiled from what is there
	if err != nil {
		return nil, err
	}
	return &schema{copies: all}, nil
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
	return strings.NewReplacer(place, "", here, "", root, "/").Replace(line(err))
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
	at = strings.NewReplacer(place, "", here, "", root, "/").Replace(e.SchemaURL)
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
