package breaker

import (
	"cmp"
	"fmt"
	"net/http"
	"time"

	"sidecar/internal/exchange"
)

// The scopes of a breaker: what has one of its own.
const (
	ScopeUpstream = "upstream"
	ScopeRoute    = "route"
	ScopeEndpoint = "endpoint"
)

// Config is a circuitBreaker policy.
type Config struct {
	Line int `yaml:"-"`

	// Mode is enforce, the default; shadow: the policy says what it would do,
	// and does nothing; or disabled: it is not asked.
	Mode exchange.Mode `yaml:"mode,omitempty"`

	// Scope is what has a breaker of its own: each upstream, the default; each
	// route; or each endpoint: calls go to the others while it is open, and are
	// refused when all are.
	Scope string `yaml:"scope"`

	// Window is how far back FailurePercent and Slow look. 1s to 1h; default
	// 10s.
	Window time.Duration `yaml:"window"`

	// MinRequests is how many outcomes the window must hold before
	// FailurePercent or Slow can open the breaker. 1 or more; default 20.
	MinRequests int `yaml:"minRequests"`

	// FailurePercent is the share of failures that opens the breaker. 1 to
	// 100, or 0 for never; default 50.
	FailurePercent int `yaml:"failurePercent"`

	// ConsecutiveFailures is how many failures in a row open the breaker,
	// however far apart they are. Default 0: never.
	ConsecutiveFailures int `yaml:"consecutiveFailures,omitempty"`

	// Slow opens the breaker for an upstream that answers, and takes too long.
	// Default: none.
	Slow *Slow `yaml:"slow,omitempty"`

	// FailureOn says which outcomes are failures. A 4xx, a refusal of our own
	// and a client that leaves never count. An outcome is known at the response's
	// headers: an answer that breaks off later, or a gRPC status in the trailers
	// after a message, is a success.
	// Default: 5xx, connect-failure, reset, timeout, grpc-unavailable.
	FailureOn exchange.Conditions `yaml:"failureOn"`

	OpenFor  OpenFor  `yaml:"openFor"`
	HalfOpen HalfOpen `yaml:"halfOpen"`

	// Fallback answers in place of the breaker's own refusals. Default: none.
	Fallback *Fallback `yaml:"fallback,omitempty"`
}

// OpenFor is how long an open breaker refuses: Base the first time, twice as
// long each time a probe fails, at most Max. JitterPercent of it is added or
// taken away at random, so that replicas do not probe at once.
// Default 5s, 60s, 20.
type OpenFor struct {
	Base          time.Duration `yaml:"base"`
	Max           time.Duration `yaml:"max"`
	JitterPercent int           `yaml:"jitterPercent"`
}

// Slow is which share of slow calls opens the breaker: Percent of the window
// took longer than Over until the response's headers, or until they failed. A
// slow call that succeeded is slow, not failed, and time in which the client's
// body was waited for does not count. Over is 1ms to 1h, default 1s; Percent 1
// to 100, default 80. The same share of the probes opens a breaker again.
type Slow struct {
	Over    time.Duration `yaml:"over"`
	Percent int           `yaml:"percent"`
}

// tooMany reports whether that many of seen are slow.
func (s *Slow) tooMany(seen exchange.Tally) bool {
	return seen.Slow*100 >= s.Percent*seen.Requests
}

// HalfOpen is how an open breaker finds its way back: at most MaxProbes calls
// at once, and Successes of them in a row close it, however many that takes at
// a time; one failure opens it again. A probe is not repeated. Those that have no
// answer after 10s make room for others. 1 to 100 each; default 3, 3.
type HalfOpen struct {
	MaxProbes int `yaml:"maxProbes"`
	Successes int `yaml:"successes"`
}

// Fallback is another upstream, or a response of our own; of both, the response
// is for when the other upstream's breaker refuses as well.
type Fallback struct {
	Line int `yaml:"-"`

	// Upstream is called in place of the route's, by the same policies of the
	// route, with a breaker and a retry budget of its own and within the route's
	// timeout. There is no second fallback behind it. A request of whose body a
	// part was sent already is refused. While it answers, its calls take the
	// places of the route's upstream in a concurrency limit, and it has no limit
	// of its own.
	Upstream string `yaml:"upstream,omitempty"`

	// Status and the others are the response: 503 and text/plain, unless there
	// is an upstream and none of them is said.
	Status      int    `yaml:"status,omitempty"`
	ContentType string `yaml:"contentType,omitempty"`
	Body        string `yaml:"body,omitempty"`
}

// response returns the response of our own; a status of 0 is none.
func (f *Fallback) response() (status int, contentType, body string) {
	if f.Upstream != "" && f.Status == 0 && f.ContentType == "" && f.Body == "" {
		return 0, "", ""
	}
	return cmp.Or(f.Status, http.StatusServiceUnavailable), cmp.Or(f.ContentType, "text/plain; charset=utf-8"), f.Body
}

// SetDefaults fills c with what is not said.
func (c *Config) SetDefaults() {
	*c = Config{
		Line:  c.Line,
		Scope: ScopeUpstream, Window: 10 * time.Second, MinRequests: 20, FailurePercent: 50,
		FailureOn: exchange.Conditions{"5xx", "connect-failure", "reset", "timeout", "grpc-unavailable"},
		OpenFor:   OpenFor{Base: 5 * time.Second, Max: time.Minute, JitterPercent: 20},
		HalfOpen:  HalfOpen{MaxProbes: 3, Successes: 3},
	}
}

// SetDefaults fills s with what is not said.
func (s *Slow) SetDefaults() { *s = Slow{Over: time.Second, Percent: 80} }

// Validate reports every problem with c.
func (c *Config) Validate(report exchange.Report) {
	exchange.OneOf(report, "scope", c.Scope, ScopeUpstream, ScopeRoute, ScopeEndpoint)
	exchange.Between(report, "window", c.Window, time.Second, time.Hour)
	exchange.Range(report, "minRequests", c.MinRequests, 1, 1_000_000)
	exchange.Range(report, "failurePercent", c.FailurePercent, 0, 100)
	exchange.Range(report, "consecutiveFailures", c.ConsecutiveFailures, 0, 1_000_000)
	if c.FailurePercent == 0 && c.ConsecutiveFailures == 0 && c.Slow == nil {
		report("failurePercent", "must be 1 to 100 where consecutiveFailures is 0: nothing could open the breaker")
	}
	if c.Slow != nil {
		exchange.Between(report, "slow.over", c.Slow.Over, time.Millisecond, time.Hour)
		exchange.Range(report, "slow.percent", c.Slow.Percent, 1, 100)
	}
	if len(c.FailureOn) == 0 {
		report("failureOn", "must name at least one outcome: nothing could open the breaker")
	}
	exchange.Between(report, "openFor.base", c.OpenFor.Base, 10*time.Millisecond, time.Hour)
	if c.OpenFor.Max < c.OpenFor.Base {
		report("openFor.max", fmt.Sprintf("must be at least base, %v, got %v", c.OpenFor.Base, c.OpenFor.Max))
	}
	exchange.Range(report, "openFor.jitterPercent", c.OpenFor.JitterPercent, 0, 100)
	exchange.Range(report, "halfOpen.maxProbes", c.HalfOpen.MaxProbes, 1, 100)
	exchange.Range(report, "halfOpen.successes", c.HalfOpen.Successes, 1, 100)
	if c.Fallback != nil {
		c.Fallback.validate(report)
	}
}

func (f *Fallback) validate(report exchange.Report) {
	if f.Status != 0 {
		exchange.Range(report, "fallback.status", f.Status, 200, 599)
	}
	switch f.Status {
	case http.StatusNoContent, http.StatusResetContent, http.StatusNotModified:
		if f.Body != "" {
			report("fallback.body", fmt.Sprintf("cannot be sent with status %d", f.Status))
		}
	}
}
