// Package policy holds the policy file: it reads it, says everything that is
// wrong with it by file, line and column, tells what each route ends up with,
// and hears when the files change. It applies nothing, and it is the only
// package that knows YAML.
package policy

import (
	"time"

	"sidecar/internal/audit"
	"sidecar/internal/authz"
	"sidecar/internal/breaker"
	"sidecar/internal/certs"
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
	Policies  Policies             `yaml:"policies,omitempty"`
	Defaults  Defaults             `yaml:"defaults"`

	// Routes say where a request goes. The first that matches is taken; a
	// request that none matches gets 404.
	Routes []*Route `yaml:"routes"`

	Telemetry Telemetry `yaml:"telemetry"`

	source *source
}

// Server is how the sidecar itself listens. Listen, Telemetry, Admin,
// Protocols and Limits are read once, and so is whether there is TLS: a change
// needs a restart.
type Server struct {
	// Listen is where traffic arrives, and nothing else. Default :8080.
	Listen string `yaml:"listen"`
	// Telemetry is where /metrics, /healthz, /livez and /readyz are read.
	// Default :9090.
	Telemetry string `yaml:"telemetry"`
	// Admin is where the running sidecar is looked at and changed: routes,
	// policies, decisions, faults, breakers, reloads. An address that is not
	// loopback needs an AdminToken or an AdminAuth. Default 127.0.0.1:9901.
	Admin string `yaml:"admin"`
	// AdminToken is what admin requests carry as "Authorization: Bearer TOKEN":
	// those that change something and, where Admin is not loopback, all. It is
	// written as a variable alone, ${NAME} or ${NAME:-}; empty is none. At
	// least 16 visible ASCII characters. Default none.
	AdminToken Secret `yaml:"adminToken,omitempty"`
	// AdminAuth gives admin requests names and roles. Default none: without
	// one, looking needs no credential where Admin is loopback, nor does
	// changing unless there is an AdminToken.
	AdminAuth *AdminAuth `yaml:"adminAuth,omitempty"`

	// Protocols are http1, h2c or both, on Listen. Default both. Where it is
	// encrypted, h2c stands for HTTP/2 as clients negotiate it.
	Protocols []string `yaml:"protocols"`

	// TLS is how Listen is encrypted. Default none: it is not. To begin or to end
	// with that needs a restart; all else in it does not.
	TLS *certs.Server `yaml:"tls,omitempty"`
	// TelemetryTLS is how Telemetry is encrypted. Default none.
	TelemetryTLS *certs.Server `yaml:"telemetryTLS,omitempty"`
	// AdminTLS is how Admin is encrypted. Default none.
	AdminTLS *certs.Server `yaml:"adminTLS,omitempty"`

	Limits Limits `yaml:"limits"`

	// Paths is strict, the default, which refuses paths that can be read in
	// two ways before any rule reads them; or raw, which lets them by and
	// asks every rule about the decoded path and the raw one.
	Paths string `yaml:"paths"`

	// TrustedProxies are the peers whose X-Forwarded-For, -Host and -Proto and
	// whose X-Request-ID count: networks or addresses. Those of any other peer
	// are replaced; an empty list trusts nobody. Where requests are traced,
	// only these peers' traces are continued. Default [127.0.0.0/8,
	// ::1/128], this machine.
	TrustedProxies []Network `yaml:"trustedProxies"`

	Shutdown Shutdown `yaml:"shutdown"`
}

// The protocols that a listener speaks.
const (
	HTTP1 = "http1"
	H2C   = "h2c"
)

// What is done with paths that can be read in two ways.
const (
	PathsStrict = "strict"
	PathsRaw    = "raw"
)

// Limits bound what clients can take.
type Limits struct {
	// ReadHeaderTimeout bounds the reading of a request's head. Default 5s.
	ReadHeaderTimeout time.Duration `yaml:"readHeaderTimeout"`
	// IdleTimeout is how long an unused connection is kept. Default 90s.
	IdleTimeout time.Duration `yaml:"idleTimeout"`
	// MaxHeaderBytes bounds a request's head. Default 32KiB.
	MaxHeaderBytes exchange.Size `yaml:"maxHeaderBytes"`
	// MaxConnections is how many connections are served at once; the next
	// ones wait to be accepted. Default 10000.
	MaxConnections int `yaml:"maxConnections"`
	// MaxConnectionsPerAddress is how many of them one client may have, by its
	// address (of IPv6 its /64); more are closed at once. Behind a load balancer
	// all come from that. Default 0: as many as there are.
	MaxConnectionsPerAddress int `yaml:"maxConnectionsPerAddress"`
	// MaxConcurrentStreams is how many requests are served at once on one HTTP/2
	// connection. Default 250.
	MaxConcurrentStreams int `yaml:"maxConcurrentStreams"`
}

// Shutdown is what SIGTERM does.
type Shutdown struct {
	// DrainDelay is how long new requests are still served, so that others
	// learn that we go. Default 5s.
	DrainDelay time.Duration `yaml:"drainDelay"`
	// Timeout is how long requests in flight may then take. Default 25s.
	Timeout time.Duration `yaml:"timeout"`
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

// Policies are named and grouped by kind. A named policy is one object: the
// routes that use a limiter share its buckets.
type Policies struct {
	Validation     map[string]*validation.Config `yaml:"validation,omitempty"`
	Authn          map[string]*authz.AuthnConfig `yaml:"authn,omitempty"`
	Authz          map[string]*authz.Config      `yaml:"authz,omitempty"`
	RateLimit      map[string]*ratelimit.Config  `yaml:"rateLimit,omitempty"`
	CircuitBreaker map[string]*breaker.Config    `yaml:"circuitBreaker,omitempty"`
	Retry          map[string]*retry.Config      `yaml:"retry,omitempty"`
	Fault          map[string]*faults.Config     `yaml:"fault,omitempty"`
}

// Defaults hold for every route that does not say otherwise.
type Defaults struct {
	// Timeout runs until the response headers. Default 5s; 0 is none.
	Timeout time.Duration `yaml:"timeout"`
	// StreamIdleTimeout ends an exchange that makes no progress in either
	// direction for so long, from the response headers on. Default 60s; 0 is
	// none.
	StreamIdleTimeout time.Duration `yaml:"streamIdleTimeout"`

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

	// Timeout and StreamIdleTimeout are those of defaults when not said.
	Timeout           *time.Duration `yaml:"timeout,omitempty"`
	StreamIdleTimeout *time.Duration `yaml:"streamIdleTimeout,omitempty"`

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
	Validation     Ref[validation.Config] `yaml:"validation,omitempty"`
	Authn          Ref[authz.AuthnConfig] `yaml:"authn,omitempty"`
	Authz          Ref[authz.Config]      `yaml:"authz,omitempty"`
	RateLimit      Ref[ratelimit.Config]  `yaml:"rateLimit,omitempty"`
	CircuitBreaker Ref[breaker.Config]    `yaml:"circuitBreaker,omitempty"`
	Retry          Ref[retry.Config]      `yaml:"retry,omitempty"`
	Fault          Ref[faults.Config]     `yaml:"fault,omitempty"`
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

// SetDefaults fills s with what is not said.
func (s *Server) SetDefaults() {
	*s = Server{
		Listen: ":8080", Telemetry: ":9090", Admin: "127.0.0.1:9901",
		Protocols: []string{HTTP1, H2C}, Paths: PathsStrict, TrustedProxies: loopback(),
		Limits: Limits{
			ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 90 * time.Second,
			MaxHeaderBytes: 32 << 10, MaxConnections: 10_000, MaxConcurrentStreams: 250,
		},
		Shutdown: Shutdown{DrainDelay: 5 * time.Second, Timeout: 25 * time.Second},
	}
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

	Validation     []Named[validation.Config]
	Authn          *Named[authz.AuthnConfig]
	Authz          []Named[authz.Config]
	RateLimit      []Named[ratelimit.Config]
	CircuitBreaker *Named[breaker.Config]
	Retry          *Named[retry.Config]
	Fault          []Named[faults.Config]
}
