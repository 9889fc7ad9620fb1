package tracing

import (
	"fmt"
	"net/url"

	"sidecar/internal/exchange"
)

// Config is telemetry.tracing: where the spans of requests go, and of how many
// requests there are any.
type Config struct {
	Line int `yaml:"-"`

	// OTLP is the collector that takes spans, by OTLP over gRPC:
	// http://HOST:PORT speaks plain text, https://HOST:PORT speaks TLS. It is
	// read once: a change needs a restart. Required.
	OTLP string `yaml:"otlp"`

	// SamplePercent is the share of requests that are traced, in percent, of
	// those whose caller, a trusted peer, has not decided already. 0 to 100;
	// default what OTEL_TRACES_SAMPLER says, else 100.
	SamplePercent *float64 `yaml:"samplePercent,omitempty"`
}

// SetDefaults fills c with what is not said.
func (c *Config) SetDefaults() { *c = Config{Line: c.Line} }

// Validate reports every problem with c.
func (c *Config) Validate(report exchange.Report) {
	if problem := checkURL(c.OTLP); problem != "" {
		report("otlp", problem)
	}
	if c.SamplePercent != nil {
		exchange.Range(report, "samplePercent", *c.SamplePercent, 0, 100)
	}
}

// checkURL returns what is wrong with the URL of a collector. It names its
// port: the one that collectors listen on is not that of the scheme.
func checkURL(raw string) string {
	if problem := exchange.HostURL(raw); problem != "" {
		return problem
	}
	if u, err := url.Parse(raw); err != nil || u.Port() == "" {
		return fmt.Sprintf("must be http://HOST:PORT or https://HOST:PORT, got %q", raw)
	}
	return ""
}
