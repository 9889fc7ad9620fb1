package tracing

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

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

func checkURL(raw string) string {
	const want = "must be http://HOST:PORT or https://HOST:PORT"
	u, err := url.Parse(raw)
	switch {
	case raw == "":
		return want + " of an OTLP collector"
	case err != nil:
		return want + ", and does not parse"
	case u.User != nil:
		return want + ", without user and password: a secret must not stand in the policy file"
	case u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "", u.Port() == "":
		return fmt.Sprintf("%s, got %q", want, raw)
	case !isPort(u.Port()):
		return fmt.Sprintf("%s, with a port of 1 to 65535, got %q", want, raw)
	case u.Path != "" && u.Path != "/", strings.ContainsAny(raw, "?#"):
		return fmt.Sprintf("%s and nothing behind it, got %q", want, raw)
	}
	return ""
}

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}
