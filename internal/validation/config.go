package validation

import (
	"fmt"
	"mime"
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
}

// Headers are fields that must and must not be there.
type Headers struct {
	Require []string `yaml:"require,omitempty"`
	Deny    []string `yaml:"deny,omitempty"`
}

// SetDefaults fills c with what "validation: {NAME: {}}" means.
func (c *Config) SetDefaults() {
	*c = Config{Line: c.Line, MaxBody: 10 << 20, MaxURL: 8 << 10}
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
}
