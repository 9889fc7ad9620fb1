package faults

import (
	"fmt"
	"reflect"
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

	// Body is what happens to the body of the answer, also to that of Abort.
	// Default: nothing.
	Body Body `yaml:"body,omitempty"`

	// ByHeader lets requests say in header fields what is to break them, in
	// place of Delay, Abort and Body. Percent is then the largest share that they
	// can ask for. Default: the fields have no meaning.
	ByHeader *ByHeader `yaml:"byHeader,omitempty"`

	// When narrows the requests. Default: all.
	When When `yaml:"when,omitempty"`

	// AbortIf switches the fault off for good as soon as those requests fare
	// worse than it says that the fault did not meet. Default: never.
	AbortIf *exchange.SteadyState `yaml:"abortIf,omitempty"`

	// MaxDuration is when the fault switches itself off. 1s to 24h;
	// default 10m.
	MaxDuration time.Duration `yaml:"maxDuration"`

	// Seed fixes which attempts are broken: the same request ids fail on
	// every run. Default 0.
	Seed int64 `yaml:"seed,omitempty"`
}

// Delay is a wait, and how far it may differ.
type Delay struct {
	// Fixed is the wait, or what waits are drawn around. At most 1h; default 0s.
	Fixed time.Duration `yaml:"fixed,omitempty"`
	// Jitter is how much more or less it is at most; with the distribution
	// normal, the standard deviation. No wait is negative. At most 1h; default 0s.
	Jitter time.Duration `yaml:"jitter,omitempty"`
	// Distribution is uniform, the default, or normal.
	Distribution string `yaml:"distribution,omitempty"`
}

// The words of Delay.Distribution.
const (
	uniform = "uniform"
	normal  = "normal"
)

// Abort is exactly one of these, or nothing.
type Abort struct {
	// Status is an HTTP status, 200 to 599.
	Status int `yaml:"status,omitempty" json:"status,omitempty"`
	// GRPC is the name of a gRPC status, such as UNAVAILABLE. It breaks gRPC
	// calls only.
	GRPC string `yaml:"grpc,omitempty" json:"grpc,omitempty"`
	// Connection is reset: the connection to the upstream breaks after the request
	// was sent, and a client that no retry helps gets 502; or blackhole: it stays, and no answer ever comes. The timeouts end that, or
	// the end of the fault, which breaks the connection.
	Connection string `yaml:"connection,omitempty" json:"connection,omitempty"`
}

// The words of Abort.Connection.
const (
	reset     = "reset"
	blackhole = "blackhole"
)

// When is a conjunction: every key that is there must hold.
type When struct {
	// Methods: the request has one of them.
	Methods []string `yaml:"methods,omitempty" json:"methods,omitempty"`
	// Paths: the decoded path matches one of them. * stands for one segment or a
	// part of one, ** for any number of segments.
	Paths []string `yaml:"paths,omitempty" json:"paths,omitempty"`
	// Headers: the request has each of these fields with this value; * is any.
	Headers map[string]string `yaml:"headers,omitempty" json:"headers,omitempty"`
	// Principals: authn has found the subject to be one of these; * is any run
	// of characters.
	Principals []string `yaml:"principals,omitempty" json:"principals,omitempty"`
}

// SetDefaults fills c with what is not said.
func (c *Config) SetDefaults() {
	*c = Config{Line: c.Line, Percent: 100, MaxDuration: 10 * time.Minute}
}

// equal reports whether o says what c says, wherever it stands in the file.
func (c Config) equal(o Config) bool {
	c.Line, o.Line = 0, 0
	return reflect.DeepEqual(c, o)
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
	c.Delay.validate(report)
	exchange.Between(report, "maxDuration", c.MaxDuration, time.Second, 24*time.Hour)
	c.Abort.validate(report)
	c.Body.validate(report)
	c.When.validate(report)
	breaks := c.Delay != (Delay{}) || c.Abort != (Abort{}) || c.Body != (Body{})
	switch {
	case c.ByHeader != nil && breaks:
		report("byHeader", "must stand without delay, abort and body: requests say what breaks them")
	case c.ByHeader == nil && !breaks:
		report("", "must have a delay, an abort, a body or byHeader")
	}
}

func (d Delay) validate(report exchange.Report) {
	exchange.Between(report, "delay.fixed", d.Fixed, 0, time.Hour)
	exchange.Between(report, "delay.jitter", d.Jitter, 0, time.Hour)
	if d.Distribution != "" {
		exchange.OneOf(report, "delay.distribution", d.Distribution, uniform, normal)
		if d.Jitter == 0 {
			report("delay.distribution", "must have a jitter beside it")
		}
	}
}

func (w When) validate(report exchange.Report) {
	exchange.Methods(report, "when.methods", w.Methods)
	exchange.Paths(report, "when.paths", w.Paths)
	for name := range w.Headers {
		exchange.HeaderName(report, "when.headers."+name, name)
	}
	for i, p := range w.Principals {
		if p == "" {
			report(fmt.Sprintf("when.principals[%d]", i), "must be a subject, such as alice or job:*")
		}
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
		exchange.OneOf(report, "abort.connection", a.Connection, reset, blackhole)
	}
	if kinds > 1 {
		report("abort", "must be one of status, grpc and connection, got more")
	}
}
