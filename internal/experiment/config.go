package experiment

import (
	"time"

	"sidecar/internal/exchange"
)

// Config says what an experiment claims: that clients fare as SteadyState has
// it, also while the fault is on.
type Config struct {
	// Name stands in logs and the audit file.
	Name string `yaml:"name"`

	// Routes are those whose requests are measured. Default: those that use the
	// fault.
	Routes []string `yaml:"routes,omitempty"`

	// SteadyState has to hold before the fault is switched on, while it is, and
	// when it is off again. It is judged over all requests, those that the fault
	// meets included.
	SteadyState *exchange.SteadyState `yaml:"steadyState"`

	// Baseline is how long is measured before the fault. 1s to 1h; default 30s.
	Baseline time.Duration `yaml:"baseline"`

	// Duration is how long the fault is on. 1s to the maxDuration of the fault;
	// default 1m.
	Duration time.Duration `yaml:"duration"`

	// Recovery is how long is measured when it is off again; the second half of
	// it is judged. Up to 1h, 0 is not at all; default 30s.
	Recovery time.Duration `yaml:"recovery"`
}

// SetDefaults fills c with what is not said.
func (c *Config) SetDefaults() {
	*c = Config{Baseline: 30 * time.Second, Duration: time.Minute, Recovery: 30 * time.Second}
}

// Validate reports every problem with c.
func (c *Config) Validate(report exchange.Report) {
	if c.Name == "" || len(c.Name) > 100 {
		report("name", "must be there, with 100 bytes at most")
	}
	if c.SteadyState == nil {
		report("steadyState", "must be there: without it there is nothing to disprove")
	}
	exchange.Between(report, "baseline", c.Baseline, time.Second, time.Hour)
	exchange.Between(report, "duration", c.Duration, time.Second, 24*time.Hour)
	exchange.Between(report, "recovery", c.Recovery, 0, time.Hour)
}
