package breaker

import (
	"fmt"
	"net/http"
	"time"

	"sidecar/internal/exchange"
)

// The scopes of a breaker: what has one of its own.
const (
	ScopeUpstream = "upstream"
	ScopeRoute    = "route"
)

// Config is a circuitBreaker policy.
type Config struct {
	Line int `yaml:"-"`

	// Mode is enforce, the default; shadow: the policy says what it would do,
	// and does nothing; or disabled: it is not asked.
	Mode exchange.Mode `yaml:"mode,omitempty"`

	// Scope is what has a breaker of its own: each upstream, the default, or
	// each route.
	Scope string `yaml:"scope"`

	// Window is how far back failurePercent looks. 1s to 1h; default 10s.
	Window time.Duration `yaml:"window"`

	// MinRequests is how many outcomes the window must hold before
	// FailurePercent can open the breaker. 1 or more; default 20.
	MinRequests int `yaml:"minRequests"`

	// FailurePercent is the share of failures that opens the breaker. 1 to
	// 100, or 0 for never; default 50.
	FailurePercent int `yaml:"failurePercent"`

	// ConsecutiveFailures is how many failures in a row open the breaker,
	// however far apart they are. Default 0: never.
	ConsecutiveFailures int `yaml:"consecutiveFailures,omitempty"`

	// FailureOn says which outcomes are failures. A 4xx, a refusal of our own
	// and a client that leaves never count.
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

// HalfOpen is how an open breaker finds its way back: at most MaxProbes calls
// at once, and Successes in a row close it; one failure opens it again.
// 1 to 100 each; default 3, 3.
type HalfOpen struct {
	MaxProbes int `yaml:"maxProbes"`
	Successes int `yaml:"successes"`
}

// Fallback is a response of our own. Default status 503, content type
// text/plain.
type Fallback struct {
	Line int `yaml:"-"`

	Status      int    `yaml:"status"`
	ContentType string `yaml:"contentType"`
	Body        string `yaml:"body,omitempty"`
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

// SetDefaults fills f with what is not said.
func (f *Fallback) SetDefaults() {
	*f = Fallback{Line: f.Line, Status: http.StatusServiceUnavailable, ContentType: "text/plain; charset=utf-8"}
}

// Validate reports every problem with c.
func (c *Config) Validate(report exchange.Report) {
	exchange.OneOf(report, "scope", c.Scope, ScopeUpstream, ScopeRoute)
	exchange.Between(report, "window", c.Window, time.Second, time.Hour)
	exchange.Range(report, "minRequests", c.MinRequests, 1, 1_000_000)
	exchange.Range(report, "failurePercent", c.FailurePercent, 0, 100)
	exchange.Range(report, "consecutiveFailures", c.ConsecutiveFailures, 0, 1_000_000)
	if c.FailurePercent == 0 && c.ConsecutiveFailures == 0 {
		report("failurePercent", "must be 1 to 100 where consecutiveFailures is 0: nothing could open the breaker")
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
		exchange.Range(report, "fallback.status", c.Fallback.Status, 200, 599)
		switch c.Fallback.Status {
		case http.StatusNoContent, http.StatusResetContent, http.StatusNotModified:
			if c.Fallback.Body != "" {
				report("fallback.body", fmt.Sprintf("cannot be sent with status %d", c.Fallback.Status))
			}
		}
	}
}
