package logging

import "sidecar/internal/exchange"

// Config is telemetry.logs: what is written to standard error.
type Config struct {
	Line int `yaml:"-"`

	// Level is debug, info, warn or error; default info. At debug the access
	// line of a request holds its header.
	Level string `yaml:"level"`

	// Format is json, the default, or text.
	Format string `yaml:"format"`

	// Access says which requests get a line: all, the default; errors, for
	// those that ended with 400 or more, that broke off, or that a policy had
	// more than a pass to say about; or none.
	Access string `yaml:"access"`

	// Redact are the header fields whose values are never written. Default:
	// authorization, cookie, set-cookie, x-api-key. authorization and
	// proxy-authorization are always among them.
	Redact []string `yaml:"redact"`
}

// SetDefaults fills c with what is not said.
func (c *Config) SetDefaults() {
	*c = Config{
		Line: c.Line, Level: "info", Format: "json", Access: "all",
		Redact: []string{"authorization", "cookie", "set-cookie", "x-api-key"},
	}
}

// Validate reports every problem with c.
func (c *Config) Validate(report exchange.Report) {
	exchange.OneOf(report, "level", c.Level, "debug", "info", "warn", "error")
	exchange.OneOf(report, "format", c.Format, "json", "text")
	exchange.OneOf(report, "access", c.Access, "all", "errors", "none")
	for _, name := range c.Redact {
		exchange.HeaderName(report, "redact", name)
	}
}
