package validation

import (
	"fmt"
	"net/url"
	"runtime"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// copies are the schemas of one document, compiled as often as they are used
// at once, and no more often than there are processors: each has a meter, which
// is for one check. They are safe for concurrent use.
type copies struct {
	compile func() (*compiled, error)
	rules   map[string]*rule // of the schemas; for any number of checks at once
	ready   chan *compiled
	spare   chan struct{} // may still be compiled
}

// compiled are schemas by where they are, as a JSON Pointer.
type compiled struct {
	meter   meter
	schemas map[string]twice
	rules   map[string]*rule
}

// twice is one schema.
type twice struct {
	tells *jsonschema.Schema // what is wrong
	not   *jsonschema.Schema // its contrary, which keeps no errors
}

// source is a document with schemas.
type source struct {
	doc   any
	place string            // its URL
	draft *jsonschema.Draft // that they are of unless they say another
	files *library          // that they refer to
}

// newCopies compiles the schemas at the JSON Pointers in s. what names them
// where one is wrong.
func newCopies(s source, what map[string]string) (*copies, error) {
	n := runtime.GOMAXPROCS(0)
	cs := &copies{ready: make(chan *compiled, n), spare: make(chan struct{}, n)}
	cs.compile = func() (*compiled, error) { return s.compile(what) }
	first, err := cs.compile()
	if err != nil {
		return nil, err
	}
	cs.rules = first.rules
	cs.ready <- first
	for range n - 1 {
		cs.spare <- struct{}{}
	}
	return cs, nil
}

// take waits for one that nobody else uses; who takes it puts it back.
func (cs *copies) take() (*compiled, error) {
	select {
	case c := <-cs.ready:
		return c, nil
	default:
	}
	select {
	case c := <-cs.ready:
		return c, nil
	case <-cs.spare:
		return cs.compile()
	}
}

func (cs *copies) put(c *compiled) { cs.ready <- c }

func (s source) compile(what map[string]string) (*compiled, error) {
	c, err := s.compiler()
	if err != nil {
		return nil, err
	}
	out := &compiled{schemas: map[string]twice{}}
	begin := out.meter.watch(c)
	for pointer, name := range what {
		var both twice
		at := s.place + "#" + (&url.URL{Fragment: pointer}).EscapedFragment()
		if both.tells, err = c.Compile(at); err == nil {
			both.not, err = contrary(c, at)
		}
		if err != nil {
			return nil, fmt.Errorf("%smust hold a JSON Schema: %s", name, compileProblem(err))
		}
		out.schemas[pointer] = both
	}
	out.setRules() // before the formats are the meter's
	begin()
	return out, nil
}

// setRules makes the rules of all schemas.
func (c *compiled) setRules() {
	c.rules = map[string]*rule{}
	rs := rules{}
	for pointer, both := range c.schemas {
		c.rules[pointer] = rs.of(both.tells)
	}
	rs.breakCircles()
}

// contrary returns the schema of what does not fit the one at the URL at.
func contrary(c *jsonschema.Compiler, at string) (*jsonschema.Schema, error) {
	name := "schema:///not?" + url.QueryEscape(at)
	if err := c.AddResource(name, map[string]any{"not": map[string]any{"$ref": at}}); err != nil {
		return nil, err
	}
	return c.Compile(name)
}

func (s source) compiler() (*jsonschema.Compiler, error) {
	c := jsonschema.NewCompiler()
	c.DefaultDraft(s.draft)
	c.UseLoader(s.files)
	c.AssertFormat()
	if err := c.AddResource(s.place, s.doc); err != nil {
		return nil, fmt.Errorf("must hold a JSON Schema: %s", compileProblem(err))
	}
	return c, nil
}
