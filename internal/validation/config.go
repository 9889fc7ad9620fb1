package validation

import (
	"errors"
	"fmt"
	"maps"
	"mime"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	"sidecar/internal/exchange"
)

// Config is a validation policy.
type Config struct {
	Line int `yaml:"-"`

	// Mode is enforce, the default; shadow: the policy says what it would do,
	// and does nothing; or disabled: it is not asked.
	Mode exchange.Mode `yaml:"mode,omitempty"`

	// Methods are the methods that are let by; others get 405. Default: any.
	Methods []string `yaml:"methods,omitempty"`

	// MaxBody is the most bytes a request body may have; more gets 413. It
	// does not bind gRPC calls and upgraded connections. 0 is no limit;
	// default 10MiB.
	MaxBody exchange.Size `yaml:"maxBody"`

	// MaxURL is the most bytes the request target may have; more gets 414.
	// 0 is no limit; default 8KiB.
	MaxURL exchange.Size `yaml:"maxURL"`

	// ContentTypes are the media types that a request with a body may have;
	// others get 415. type/* stands for all of a type. Default: any.
	ContentTypes []string `yaml:"contentTypes,omitempty"`

	// Headers are fields that a request must or must not have; else 400.
	Headers Headers `yaml:"headers,omitempty"`

	// Query is what the query must and must not have; else 400. With it, and
	// with OpenAPIFile, a query that servers read in different ways is 400: one with
	// a bad percent-encoding, a bare semicolon, or what is not UTF-8.
	Query Query `yaml:"query,omitempty"`

	// JSONLimits bounds bodies of type application/json or +json. What is no
	// JSON is 400, and so is what is beyond. Default: its own defaults where
	// JSONSchema or OpenAPIFile is set; else bodies are not read.
	JSONLimits *JSON `yaml:"json,omitempty"`

	// JSONSchema is a file with the JSON Schema that bodies must fit, of the
	// draft that its $schema names, else 2020-12. What does not fit is 422 and
	// told where; another type than JSON is 415; POST, PUT and PATCH must have
	// a body. Formats are demanded. The file may refer ($ref) to others in the
	// policy's folder, which are read with the policy and watched; to nothing else.
	// What a body that fits costs depends on the keywords that its values come to.
	// Checked in one pass over its bytes are type, enum, const, format, minLength,
	// maxLength, pattern, minimum, maximum, exclusiveMinimum, exclusiveMaximum,
	// multipleOf, properties, patternProperties, additionalProperties, required,
	// minProperties, maxProperties, prefixItems, items, additionalItems, minItems,
	// maxItems, $ref, allOf, anyOf, oneOf, not, if, then and else. A body takes many times
	// as long where another keyword counts, or an enum or const of arrays or objects,
	// an escape in a name or in a text that is looked at, or a number with an
	// exponent or more than 18 digits.
	JSONSchema string `yaml:"jsonSchema,omitempty" file:"read"`

	// OpenAPIFile is a file with the OpenAPI description, 3.0 or 3.1, that requests
	// must fit: an unknown path is 404, an unknown method 405, a wrong parameter
	// 400, a body of another type 415, and a JSON body that does not fit its
	// schema 422. Of its servers only the path of the first counts; its security
	// is not looked at. A readOnly property that its own schema requires may be
	// left out. Booleans and numbers in parameters are written as in JSON. The
	// file refers to nothing outside itself.
	OpenAPIFile string `yaml:"openapi,omitempty" file:"read"`

	// MaxBuffered is the most bytes of bodies that this policy holds at once:
	// where JSONLimits, JSONSchema or OpenAPIFile want it, a body is read whole before it
	// goes on, within the route's timeout. Beyond it requests get 503. At least
	// MaxBody. Default 64MiB.
	MaxBuffered exchange.Size `yaml:"maxBuffered"`
}

// Query are parameters by name, with upper and lower case. All values of one
// that is repeated are looked at.
type Query struct {
	// Require are those that must be there, Deny those that must not.
	Require []string `yaml:"require,omitempty"`
	Deny    []string `yaml:"deny,omitempty"`
	// Pattern is what values must match, a regular expression (RE2) by the name.
	// It matches anywhere in the value unless it says ^ and $.
	Pattern map[string]string `yaml:"pattern,omitempty"`
	// MaxLength is how many bytes values may have, decoded, by the name.
	MaxLength map[string]int `yaml:"maxLength,omitempty"`
}

// JSON are bounds on what parsers fail at. Where there is a schema, a name that stands
// twice in one object is refused as well: of two members some take the first
// and others the last. So is a number of more than 1000 digits or with an
// exponent beyond 400.
type JSON struct {
	// MaxDepth is how deep arrays and objects may nest. 1 to 1000; default 64.
	MaxDepth int `yaml:"maxDepth"`
	// MaxTokens is how many values and names there may be. 1 to 10000000;
	// default 100000.
	MaxTokens int `yaml:"maxTokens"`
}

// SetDefaults fills j with what "json: {}" means.
func (j *JSON) SetDefaults() { *j = JSON{MaxDepth: 64, MaxTokens: 100_000} }

// IsZero reports whether q says nothing.
func (q Query) IsZero() bool {
	return len(q.Require)+len(q.Deny)+len(q.Pattern)+len(q.MaxLength) == 0
}

// Headers are fields that must and must not be there.
type Headers struct {
	Require []string `yaml:"require,omitempty"`
	Deny    []string `yaml:"deny,omitempty"`
}

// SetDefaults fills c with what "validation: {NAME: {}}" means.
func (c *Config) SetDefaults() {
	*c = Config{Line: c.Line, MaxBody: 10 << 20, MaxURL: 8 << 10, MaxBuffered: 64 << 20}
}

// Validate reports every problem with c.
func (c *Config) Validate(report exchange.Report) {
	exchange.Methods(report, "methods", c.Methods)
	for i, ct := range c.ContentTypes {
		field := fmt.Sprintf("contentTypes[%d]", i)
		media, params, err := mime.ParseMediaType(ct)
		switch {
		case err != nil || !strings.Contains(media, "/"):
			report(field, fmt.Sprintf("must be a media type such as application/json or text/*, got %q", ct))
		case len(params) > 0:
			report(field, fmt.Sprintf("must have no parameters: any are accepted, got %q", ct))
		}
	}
	for i, name := range c.Headers.Require {
		exchange.HeaderName(report, fmt.Sprintf("headers.require[%d]", i), name)
	}
	for i, name := range c.Headers.Deny {
		field := fmt.Sprintf("headers.deny[%d]", i)
		exchange.HeaderName(report, field, name)
		for _, required := range c.Headers.Require {
			if strings.EqualFold(name, required) {
				report(field, fmt.Sprintf("is required and denied at once: %q", name))
			}
		}
	}
	c.Query.validate(report)
	c.validateBody(report)
}

func (q Query) validate(report exchange.Report) {
	for i, name := range q.Deny {
		if slices.Contains(q.Require, name) {
			report(fmt.Sprintf("query.deny[%d]", i), fmt.Sprintf("is required and denied at once: %q", name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(q.Pattern)) {
		if _, err := regexp.Compile(q.Pattern[name]); err != nil {
			report("query.pattern."+name, fmt.Sprintf("must be a regular expression (RE2): %s, got %q", reason(err), q.Pattern[name]))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(q.MaxLength)) {
		exchange.Range(report, "query.maxLength."+name, q.MaxLength[name], 0, 1<<20)
	}
}

// reason returns what is wrong with an expression, without the expression.
func reason(err error) string {
	var syntax *syntax.Error
	if errors.As(err, &syntax) {
		return syntax.Code.String()
	}
	return err.Error()
}

// validateBody reports what is wrong with how bodies are looked into.
func (c *Config) validateBody(report exchange.Report) {
	if c.JSONLimits != nil {
		exchange.Range(report, "json.maxDepth", c.JSONLimits.MaxDepth, 1, 1000)
		exchange.Range(report, "json.maxTokens", c.JSONLimits.MaxTokens, 1, 10_000_000)
	}
	if !c.reads() {
		return
	}
	switch {
	case c.MaxBody == 0:
		report("maxBody", "must be a size where json, jsonSchema or openapi want bodies to be read whole, got 0")
	case c.MaxBuffered < c.MaxBody:
		report("maxBuffered", fmt.Sprintf("must be at least maxBody, %v, got %v", c.MaxBody, c.MaxBuffered))
	}
}

// reads reports whether bodies are read.
func (c *Config) reads() bool {
	return c.JSONLimits != nil || c.JSONSchema != "" || c.OpenAPIFile != ""
}
