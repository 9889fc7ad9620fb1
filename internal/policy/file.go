// Package policy holds the policy file: it reads it, says everything that is
// wrong with it by file, line and column, tells what each route ends up with,
// and hears when the files change. It applies nothing, and it is the only
// package that knows YAML.
package policy

import (
	"fmt"
	"strings"
	"time"

	"sidecar/internal/audit"
	"sidecar/internal/authz"
	"sidecar/internal/breaker"
	"sidecar/internal/certs"
	"sidecar/internal/concurrency"
	"sidecar/internal/exchange"
	"sidecar/internal/faults"
	"sidecar/internal/logging"
	"sidecar/internal/ratelimit"
	"sidecar/internal/retry"
	"sidecar/internal/tracing"
	"sidecar/internal/upstream"
	"sidecar/internal/validation"
)

// Version is the one version of the file that there is.
const Version = "v1"

// File is a policy file.
type File struct {
	// Version is v1.
	Version string `yaml:"version"`

	Server    Server               `yaml:"server"`
	Upstreams map[string]*Upstream `yaml:"upstreams"`
	Stores    map[string]*Store    `yaml:"stores,omitempty"`
	Policies  Policies             `yaml:"policies,omitempty"`
	Defaults  Defaults             `yaml:"defaults"`

	// Routes say where a request goes. The first that matches is taken; a
	// request that none matches gets 404.
	Routes []*Route `yaml:"routes"`

	Telemetry Telemetry `yaml:"telemetry"`

	source *source
}

// Upstream is a service and what all calls to it share.
type Upstream struct {
	upstream.Config `yaml:",inline"`

	RetryBudget retry.BudgetConfig `yaml:"retryBudget"`

	// TLS is how https endpoints are called. Default: the system's CAs are
	// trusted, and no certificate is shown.
	TLS *certs.Client `yaml:"tls,omitempty"`
}

// SetDefaults fills u with what is not said.
func (u *Upstream) SetDefaults() {
	u.Config.SetDefaults()
	u.RetryBudget.SetDefaults()
}

// Validate reports every problem with u.
func (u *Upstream) Validate(report exchange.Report) {
	u.Config.Validate(report)
	if u.TLS == nil {
		return
	}
	for _, e := range u.Endpoints {
		if !strings.HasPrefix(strings.ToLower(e.URL), "https:") {
			report("tls", fmt.Sprintf("must not be there unless all endpoints are https://, got %q", e.URL))
			return
		}
	}
}

// Policies are named and grouped by kind. A named policy is one object: the
// routes that use a limiter share its buckets.
type Policies struct {
	Validation     map[string]*validation.Config  `yaml:"validation,omitempty"`
	Authn          map[string]*authz.AuthnConfig  `yaml:"authn,omitempty"`
	Authz          map[string]*authz.Config       `yaml:"authz,omitempty"`
	RateLimit      map[string]*ratelimit.Config   `yaml:"rateLimit,omitempty"`
	Concurrency    map[string]*concurrency.Config `yaml:"concurrency,omitempty"`
	CircuitBreaker map[string]*breaker.Config     `yaml:"circuitBreaker,omitempty"`
	Retry          map[string]*retry.Config       `yaml:"retry,omitempty"`
	Fault          map[string]*faults.Config      `yaml:"fault,omitempty"`
}

// Defaults hold for every route that does not say otherwise.
type Defaults struct {
	// Timeout runs until the response headers, retries included, from when the
	// policies that look at the request have let it by. Default 5s; 0 is none.
	Timeout time.Duration `yaml:"timeout"`
	// StreamIdleTimeout ends an exchange that makes no progress in either
	// direction for so long, from the response headers on. Default 60s; 0 is
	// none.
	StreamIdleTimeout time.Duration `yaml:"streamIdleTimeout"`
	// MaxDuration ends an exchange so long after its request came, whatever it
	// is doing: streams and upgraded connections too, and with what its policies
	// and retries have taken. At least Timeout. Default 0: none.
	MaxDuration time.Duration `yaml:"maxDuration,omitempty"`

	Use Use `yaml:"use,omitempty"`
}

// Route is which requests go to which upstream under which policies.
type Route struct {
	Line int `yaml:"-"`

	// Name stands in metrics and logs.
	Name string `yaml:"name"`
	// Match is what must hold: every key that is there. None: every request.
	Match Match `yaml:"match,omitempty"`
	// Upstream is the name of where requests go.
	Upstream string `yaml:"upstream"`

	// Timeout, StreamIdleTimeout and MaxDuration are those of defaults when not
	// said.
	Timeout           *time.Duration `yaml:"timeout,omitempty"`
	StreamIdleTimeout *time.Duration `yaml:"streamIdleTimeout,omitempty"`
	MaxDuration       *time.Duration `yaml:"maxDuration,omitempty"`

	// Upgrade are the protocols that a connection may be upgraded to; a wish
	// for another one is not passed on. Default [websocket].
	Upgrade []string `yaml:"upgrade"`

	// Use says per kind which policy holds.
	Use Use `yaml:"use,omitempty"`
}

// Match is a conjunction: every key that is there must hold.
type Match struct {
	// Path is the whole decoded path. Not beside PathPrefix.
	Path string `yaml:"path,omitempty"`
	// PathPrefix is the beginning of the decoded path, up to the end or a
	// slash: /v1 matches /v1 and /v1/x, not /v10.
	PathPrefix string `yaml:"pathPrefix,omitempty"`
	// Methods: the request has one of them.
	Methods []string `yaml:"methods,omitempty"`
	// Host is the host, without port; *.example.com is any name below it.
	Host string `yaml:"host,omitempty"`
	// Headers: the request has each of these fields with this value; * is any.
	Headers map[string]string `yaml:"headers,omitempty"`
}

// Use says per kind which policy holds: a name, a list of names, an inline
// policy, or none. A kind that is not there has what defaults say, and
// otherwise its built-in default.
type Use struct {
	Validation     Ref[validation.Config]  `yaml:"validation,omitempty"`
	Authn          Ref[authz.AuthnConfig]  `yaml:"authn,omitempty"`
	Authz          Ref[authz.Config]       `yaml:"authz,omitempty"`
	RateLimit      Ref[ratelimit.Config]   `yaml:"rateLimit,omitempty"`
	Concurrency    Ref[concurrency.Config] `yaml:"concurrency,omitempty"`
	CircuitBreaker Ref[breaker.Config]     `yaml:"circuitBreaker,omitempty"`
	Retry          Ref[retry.Config]       `yaml:"retry,omitempty"`
	Fault          Ref[faults.Config]      `yaml:"fault,omitempty"`
}

// Ref is one entry of Use: exactly one of None, Names and Inline, or nothing.
type Ref[C any] struct {
	Line   int
	None   bool
	Names  []string
	Inline *C
}

// Telemetry is what is told about the sidecar's work.
type Telemetry struct {
	Logs logging.Config `yaml:"logs"`
	// Tracing sends spans of requests to a collector. Default none: requests
	// are not traced, and what they say of a trace goes through unchanged.
	Tracing *tracing.Config `yaml:"tracing,omitempty"`
	// Audit writes who was refused and who changed what to a file. Default
	// none: nothing is written.
	Audit *audit.Config `yaml:"audit,omitempty"`
}

// SetDefaults fills f with what is not said.
func (f *File) SetDefaults() {
	f.Server.SetDefaults()
	f.Defaults.SetDefaults()
	f.Telemetry.Logs.SetDefaults()
}

// SetDefaults fills d with what is not said.
func (d *Defaults) SetDefaults() {
	*d = Defaults{Timeout: 5 * time.Second, StreamIdleTimeout: time.Minute}
}

// SetDefaults fills r with what is not said.
func (r *Route) SetDefaults() {
	*r = Route{Line: r.Line, Upgrade: []string{"websocket"}}
}

// Named is a policy and the name it goes by: its own, ROUTE/KIND for an inline
// one, default for a built-in one.
type Named[C any] struct {
	Name   string
	Path   string // of its section in the file, for problems; empty for a built-in one
	Config C
}

// Effective is what a route ends up with. Where a kind allows one policy only,
// nil is none; an empty list is none elsewhere.
type Effective struct {
	Timeout           time.Duration
	StreamIdleTimeout time.Duration
	MaxDuration       time.Duration

	Validation     []Named[validation.Config]
	Authn          *Named[authz.AuthnConfig]
	Authz          []Named[authz.Config]
	RateLimit      []Named[ratelimit.Config]
	Concurrency    *Named[concurrency.Config]
	CircuitBreaker *Named[breaker.Config]
	Retry          *Named[retry.Config]
	Fault          []Named[faults.Config]
}
