package concurrency

import (
	"fmt"
	"slices"
	"time"

	"sidecar/internal/exchange"
)

// The algorithms of a limit.
const (
	Static   = "static"
	Gradient = "gradient"
)

// Config is a concurrency policy. Each upstream that it is used for has places
// of its own, which the routes to it share.
type Config struct {
	Line int `yaml:"-"`

	// Mode is enforce, the default; shadow: the policy says what it would do,
	// and does nothing; or disabled: it is not asked.
	Mode exchange.Mode `yaml:"mode,omitempty"`

	// Algorithm is static, the default: the limit is Max; or gradient: it is
	// found, from Min to Max, by how long the upstream takes to answer.
	Algorithm string `yaml:"algorithm"`

	// Min is the least that a limit which is found can be. Not beside static.
	// 1 to Max; default, and 0: 4, or Max where that is less.
	Min int `yaml:"min,omitempty"`

	// Max is how many calls there are at a time, at most. 1 to 100000; default
	// 200.
	Max int `yaml:"max"`

	Queue Queue `yaml:"queue"`

	// Priority says who is shed first. Default: all are alike.
	Priority *Priority `yaml:"priority,omitempty"`
}

// Queue is where requests wait for a place: at most Max of them, each at most
// MaxWait, and none longer than leaves the upstream its usual time before the
// route's timeout. The first to come is the first to go; once somebody has been
// waiting all the time for MaxWait, the last to come is, since the others will
// hardly make it. 0 to 100000, and 1ms to 1m; default 100, 100ms. With Max 0
// nobody waits.
type Queue struct {
	Max     int           `yaml:"max"`
	MaxWait time.Duration `yaml:"maxWait"`
}

// Priority is who waits behind others, and makes room for them in a full queue.
type Priority struct {
	// Header is the field whose value names the class of a request. Anybody can
	// say anything in it, but nobody gains by it: what it does not say, and what
	// ShedFirst does not name, goes before.
	Header string `yaml:"header,omitempty"`

	// Claim is the claim that names the class, in place of Header: a name mapped
	// in authn.claims, else the claim itself (a.b.c).
	Claim string `yaml:"claim,omitempty"`

	// ShedFirst are the classes that make room for others, the least important
	// first. 1 to 8 names.
	ShedFirst []string `yaml:"shedFirst"`
}

// SetDefaults fills c with what is not said.
func (c *Config) SetDefaults() {
	*c = Config{Line: c.Line, Algorithm: Static, Max: 200, Queue: Queue{Max: 100, MaxWait: 100 * time.Millisecond}}
}

// Validate reports every problem with c.
func (c *Config) Validate(report exchange.Report) {
	exchange.OneOf(report, "algorithm", c.Algorithm, Static, Gradient)
	exchange.Range(report, "max", c.Max, 1, 100_000)
	exchange.Range(report, "min", c.Min, 0, 100_000)
	switch {
	case c.Min != 0 && c.Algorithm == Static:
		report("min", "must not stand beside algorithm static, whose limit is max")
	case c.Min > c.Max:
		report("min", fmt.Sprintf("must be at most max, %d, got %d", c.Max, c.Min))
	}
	exchange.Range(report, "queue.max", c.Queue.Max, 0, 100_000)
	exchange.Between(report, "queue.maxWait", c.Queue.MaxWait, time.Millisecond, time.Minute)
	if c.Priority != nil {
		c.Priority.validate(c.Queue, report)
	}
}

// maxClasses bounds the series of metrics.
const maxClasses = 8

func (p *Priority) validate(q Queue, report exchange.Report) {
	switch {
	case p.Header == "" && p.Claim == "":
		report("priority", "must have header or claim: one of them names the class of a request")
	case p.Header != "" && p.Claim != "":
		report("priority.claim", "must not stand beside header")
	case p.Header != "":
		exchange.HeaderName(report, "priority.header", p.Header)
	}
	if q.Max == 0 {
		report("priority", "does nothing without a queue: it says who waits for whom")
	}
	if n := len(p.ShedFirst); n < 1 || n > maxClasses {
		report("priority.shedFirst", fmt.Sprintf("must be 1 to %d names, got %d", maxClasses, n))
	}
	for i, name := range p.ShedFirst {
		at := fmt.Sprintf("priority.shedFirst[%d]", i)
		switch {
		case name == "" || len(name) > 63:
			report(at, fmt.Sprintf("must be a name of 1 to 63 characters, got %q", name))
		case name == normalClass:
			report(at, fmt.Sprintf("must not be %q, which is who is named nowhere", name))
		case slices.Contains(p.ShedFirst[:i], name):
			report(at, fmt.Sprintf("is in the list already: %q", name))
		}
	}
}

// bounds returns the least and the most that the limit can be.
func (c *Config) bounds() (low, high int) {
	switch {
	case c.Algorithm == Static:
		return c.Max, c.Max
	case c.Min == 0:
		return min(defaultMin, c.Max), c.Max
	}
	return c.Min, c.Max
}

const defaultMin = 4
