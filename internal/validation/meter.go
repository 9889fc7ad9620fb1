package validation

import "github.com/santhosh-tekuri/jsonschema/v6"

// How many steps the check of a document may take. A recursive schema with
// alternatives can double the work with each level, so that a body of a few
// hundred bytes would take hours.
const (
	freeSteps    = 100_000
	stepsPerPart = 50 // of the document: a value or a name
)

// How many bytes its errors may take: others need the buffers, too.
const (
	freeRoom    = 1 << 20
	roomPerPart = 2048
)

// meter counts the steps of a check: how often a value is held against a
// schema. It is for one check at a time.
type meter struct {
	left  int64
	share *share // nil: errors are not kept
	room  int64  // bytes that may be taken of it
	each  int64  // bytes that an error takes
}

// spend ends the check where there is not enough for n more steps.
func (m *meter) spend(n int64) {
	if m.left -= n; m.left < 0 {
		panic(errComplex)
	}
	if m.share == nil {
		return
	}
	if m.room -= n * m.each; m.room < 0 || !m.share.take(n*m.each) {
		panic(errFull)
	}
}

// run returns what check does; errComplex or errFull if it had to be ended.
// The library knows no other way to end one.
func (m *meter) run(check func() error) (err error) {
	defer func() {
		switch p := recover(); p {
		case nil:
		case errComplex, errFull:
			err = p.(error)
		default:
			panic(p)
		}
	}()
	return check()
}

// watch has m count what the schemas that c compiles do. What it returns is
// called when all are compiled.
func (m *meter) watch(c *jsonschema.Compiler) (begin func()) {
	var all []*jsonschema.Schema
	c.RegisterVocabulary(&jsonschema.Vocabulary{
		URL: place + "/steps",
		Compile: func(ctx *jsonschema.CompilerContext, _ map[string]any) (jsonschema.SchemaExt, error) {
			all = append(all, ctx.Enqueue(nil)) // the one that is compiled
			return nil, nil
		},
	})
	c.AssertVocabs()
	return func() {
		for _, s := range all {
			m.hook(s)
		}
	}
}

// hook has s spend, before it looks into a value, what it may take. The format
// is what a schema demands before that.
func (m *meter) hook(s *jsonschema.Schema) {
	own := int64(1 + len(s.AllOf) + len(s.AnyOf) + len(s.OneOf))
	format := jsonschema.Format{Validate: func(any) error { return nil }}
	if s.Format != nil {
		format = *s.Format
	}
	s.Format = &jsonschema.Format{Name: format.Name, Validate: func(value any) error {
		parts := 0
		switch value := value.(type) {
		case []any:
			parts = len(value)
		case map[string]any:
			parts = len(value)
		}
		m.spend(own + int64(parts))
		return format.Validate(value)
	}}
}
