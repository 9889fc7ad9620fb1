package faults

import (
	"fmt"
	"time"

	"sidecar/internal/exchange"
)

// Config is a fault policy: what is broken on purpose, and for how long.
type Config struct {
	Line int `yaml:"-"`

	// Mode is enforce, the default; shadow: the policy says what it would do,
	// and does nothing; or disabled: it is not asked.
	Mode exchange.Mode `yaml:"mode,omitempty"`

	// Enabled says whether the fault is on from the start. It then runs for
	// MaxDuration from when it was first seen; a reload does not restart it.
	// Default false: it waits for an operator.
	Enabled bool `yaml:"enabled"`

	// Percent is the share of attempts that are broken. 0 to 100; default 100.
	Percent float64 `yaml:"percent"`

	// Delay is a wait before the call. Default: none.
	Delay Delay `yaml:"delay,omitempty"`

	// Abort is an answer in place of the call. Default: none.
	Abort Abort `yaml:"abort,omitempty"`

	// When narrows the requests. Default: all.
	When When `yaml:"when,omitempty"`

	// MaxDuration is when the fault switches itself off. 1s to 24h;
	// default 10m.
	MaxDuration time.Duration `yaml:"maxDuration"`

	// Seed fixes which attempts are broken: the same request ids fail on
	// every run. Default 0.
	Seed int64 `yaml:"seed,omitempty"`
}

// Delay is Fixed, and up to Jitter more or less, drawn evenly.
type Delay struct {
	Fixed  time.Duration `yaml:"fixed,omitempty"`
	Jitter time.Duration `yaml:"jitter,omitempty"`
}

// Abort is exactly one of these, or nothing.
type Abort struct {
	// Status is an HTTP status, 200 to 599.
	Status int `yaml:"status,omitempty" json:"status,omitempty"`
	// GRPC is the name of a gRPC status, such as UNAVAILABLE. It breaks gRPC
	// calls only.
	GRPC string `yaml:"grpc,omitempty" json:"grpc,omitempty"`
	// Connection is reset: the connection breaks after the request was sent.
	Connection string `yaml:"connection,omitempty" json:"connection,omitempty"`
}

// When is a conjunction: every key that is there must hold.
type When struct {
	// Methods: the request has one of them.
	Methods []string `yaml:"methods,omitempty" json:"methods,omitempty"`
	// Headers: the request has each of these fields with this value; * is any.
	Headers map[string]string `yaml:"headers,omitempty" json:"headers,omitempty"`
}

// SetDefaults fills c with what is not said.
func (c *Config) SetDefaults() {
	*c = Config{Line: c.Line, Percent: 100, MaxDuration: 10 * time.Minute}
}

// The gRPC status codes by name
// (https://github.com/grpc/grpc/blob/master/doc/statuscodes.md).
var grpcCodes = map[string]int{
	"CANCELLED": 1, "UNKNOWN": 2, "INVALID_ARGUMENT": 3, "DEADLINE_EXCEEDED": 4, "NOT_FOUND": 5,
	"ALREADY_EXISTS": 6, "PERMISSION_DENIED": 7, "RESOURCE_EXHAUSTED": 8, "FAILED_PRECONDITION": 9,
	"ABORTED": 10, "OUT_OF_RANGE": 11, "UNIMPLEMENTED": 12, "INTERNAL": 13, "UNAVAILABLE": 14,
	"DATA_LOSS": 15, "UNAUTHENTICATED": 16,
}

// Validate reports every problem with c.
func (c *Config) Validate(report exchange.Report) {
	exchange.Range(report, "percent", c.Percent, 0, 100)
	exchange.Between(report, "delay.fixed", c.Delay.Fixed, 0, time.Hour)
	exchange.Between(report, "delay.jitter", c.Delay.Jitter, 0, time.Hour)
	exchange.Between(report, "maxDuration", c.MaxDuration, time.Second, 24*time.Hour)
	c.Abort.validate(report)
	exchange.Methods(report, "when.methods", c.When.Methods)
	for name := range c.When.Headers {
		exchange.HeaderName(report, "when.headers."+name, name)
	}
	if c.Delay == (Delay{}) && c.Abort == (Abort{}) {
		report("", "must have a delay or an abort")
	}
}

func (a Abort) validate(report exchange.Report) {
	kinds := 0
	if a.Status != 0 {
		kinds++
		exchange.Range(report, "abort.status", a.Status, 200, 599)
	}
	if a.GRPC != "" {
		kinds++
		if _, ok := grpcCodes[a.GRPC]; !ok {
			report("abort.grpc", fmt.Sprintf("must be a gRPC status such as UNAVAILABLE, got %q", a.GRPC))
		}
	}
	if a.Connection != "" {
		kinds++
		exchange.OneOf(report, "abort.connection", a.Connection, "reset")
	}
	if kinds > 1 {
		report("abort", "must be one of status, grpc and connection, got more")
	}
}
