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
	ready   chan *compiled
	spare   chan struct{} // may still be compiled
}

// compiled are schemas by where they are, as a JSON Pointer.
type compiled struct {
	meter   meter
	schemas map[string]twice
}

// twice is one schema.
type twice struct {
	tells *jsonschema.Schema // what is wrong
	not   *jsonschema.Schema // its contrary, which keeps no errors
}

// newCopies compiles the schemas at the JSON Pointers in doc, which are of that
// draft unless they say another. what names them where one is wrong.
func newCopies(doc any, draft *jsonschema.Draft, what map[string]string) (*copies, error) {
	n := runtime.GOMAXPROCS(0)
	cs := &copies{ready: make(chan *compiled, n), spare: make(chan struct{}, n)}
	cs.compile = func() (*compiled, error) { return compile(doc, draft, what) }
	first, err := cs.compile()
	if err != nil {
		return nil, err
	}
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

func compile(doc any, draft *jsonschema.Draft, what map[string]string) (*compiled, error) {
	c, err := newCompiler(doc, draft)
	if err != nil {
		return nil, err
	}
	out := &compiled{schemas: map[string]twice{}}
	begin := out.meter.watch(c)
	for pointer, name := range what {
		var s twice
		at := place + "#" + (&url.URL{Fragment: pointer}).EscapedFragment()
		if s.tells, err = c.Compile(at); err == nil {
			s.not, err = contrary(c, at)
		}
		if err != nil {
			return nil, fmt.Errorf("%smust hold a JSON Schema: %s", name, compileProblem(err))
		}
		out.schemas[pointer] = s
	}
	begin()
	return out, nil
}

// contrary returns the schema of what does not fit the one at the URL at.
func contrary(c *jsonschema.Compiler, at string) (*jsonschema.Schema, error) {
	name := "schema:///not?" + url.QueryEscape(at)
	if err := c.AddResource(name, map[string]any{"not": map[string]any{"$ref": at}}); err != nil {
		return nil, err
	}
	return c.Compile(name)
}

// newCompiler returns one for doc.
func newCompiler(doc any, draft *jsonschema.Draft) (*jsonschema.Compiler, error) {
	c := jsonschema.NewCompiler()
	c.DefaultDraft(draft)
	c.UseLoader(notLoading(doc))
	c.AssertFormat()
	if err := c.AddResource(place, doc); err != nil {
		return nil, fmt.Errorf("must hold a JSON Schema: %s", compileProblem(err))
	}
	return c, nil
}
