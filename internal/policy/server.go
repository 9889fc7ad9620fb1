package policy

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"time"

	"sidecar/internal/certs"
	"sidecar/internal/downstream"
	"sidecar/internal/exchange"
)

// Server is how the sidecar itself listens. Listen, Telemetry, Admin,
// Protocols, Transport and Limits are read once, and so is whether there is TLS:
// a change needs a restart.
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

	// Transport is how HTTP/1.1 requests on Listen are read: direct, the default,
	// which costs least; or standard, by Go's own server, which under direct
	// too has what is encrypted and each connection that carries anything out of
	// the ordinary: upgrades, chunked bodies, Expect, HTTP/2, heads of more
	// than 8 KiB.
	Transport string `yaml:"transport"`

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
	// only these peers' traces are continued. Their X-Request-Timeout, how long
	// they wait for the end of the answer (2, 1.5, 300ms; a bare number is
	// seconds), shortens a request's time, and what is left is passed on; any
	// other peer's is dropped. Default [127.0.0.0/8, ::1/128], this machine.
	TrustedProxies []exchange.Network `yaml:"trustedProxies"`

	Shutdown Shutdown `yaml:"shutdown"`
}

// What is done with paths that can be read in two ways.
const (
	PathsStrict = "strict"
	PathsRaw    = "raw"
)

// SetDefaults fills s with what is not said.
func (s *Server) SetDefaults() {
	*s = Server{
		Listen: ":8080", Telemetry: ":9090", Admin: "127.0.0.1:9901",
		Protocols: []string{exchange.HTTP1, exchange.H2C}, Transport: downstream.Direct, Paths: PathsStrict, TrustedProxies: loopback(),
		Limits: Limits{
			ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 90 * time.Second,
			MaxHeaderBytes: 32 << 10, MaxConnections: 10_000, MaxConcurrentStreams: 250,
		},
		Shutdown: Shutdown{DrainDelay: 5 * time.Second, Timeout: 25 * time.Second},
	}
}

// loopback are the addresses of this machine to itself.
func loopback() []exchange.Network {
	return []exchange.Network{{Prefix: netip.MustParsePrefix("127.0.0.0/8")}, {Prefix: netip.MustParsePrefix("::1/128")}}
}

// Listener is one of the three places where the sidecar listens.
type Listener struct {
	Name    string // data, telemetry or admin
	Key     string // of Address in server
	Address string
	TLSKey  string        // of TLS in server
	TLS     *certs.Server // nil: it is not encrypted
}

// Listeners returns all three.
func (s *Server) Listeners() []Listener {
	return []Listener{
		{"data", "listen", s.Listen, "tls", s.TLS},
		{"telemetry", "telemetry", s.Telemetry, "telemetryTLS", s.TelemetryTLS},
		{"admin", "admin", s.Admin, "adminTLS", s.AdminTLS},
	}
}

// Validate reports every problem with s.
func (s *Server) Validate(report exchange.Report) {
	listeners := s.Listeners()
	for i, l := range listeners {
		if problem := checkAddress(l.Address); problem != "" {
			report(l.Key, problem)
			continue
		}
		for _, other := range listeners[:i] {
			if samePlace(l.Address, other.Address) {
				report(l.Key, fmt.Sprintf("must not listen where %s does, %s, got %q", other.Key, other.Address, l.Address))
			}
		}
		if host, _, _ := net.SplitHostPort(l.Address); l.Key == "admin" && !exchange.Loopback(host) {
			s.exposed(report, l.Address)
		}
	}
	if !s.AdminToken.IsZero() && !tokenShape.MatchString(s.AdminToken.Value()) {
		report("adminToken", fmt.Sprintf("must have at least 16 characters, all of them visible ASCII, got %q", s.AdminToken))
	}
	exchange.OneOf(report, "transport", s.Transport, downstream.Direct, downstream.Standard)
	if len(s.Protocols) == 0 {
		report("protocols", "must have at least one of http1 and h2c")
	}
	for i, p := range s.Protocols {
		at := fmt.Sprintf("protocols[%d]", i)
		exchange.OneOf(report, at, p, exchange.HTTP1, exchange.H2C)
		if slices.Contains(s.Protocols[:i], p) {
			report(at, "is in the list already: "+p)
		}
	}
	exchange.OneOf(report, "paths", s.Paths, PathsStrict, PathsRaw)
	if s.AdminAuth != nil && !s.AdminAuth.anybody() && !s.AdminAuth.AnonymousRead && s.AdminToken.IsZero() {
		report("adminAuth", "must name somebody, or nobody reaches admin: say tokens, certificates, anonymousRead or an adminToken")
	}
	if s.AdminAuth != nil && len(s.AdminAuth.Certificates) > 0 && (s.AdminTLS == nil || !s.AdminTLS.Verifies()) {
		report("adminAuth.certificates", "must not be there unless server.adminTLS verifies them: say its clientAuth")
	}
}

// exposed reports what admin must not do on an address that others reach.
func (s *Server) exposed(report exchange.Report, address string) {
	if s.AdminToken.IsZero() && !s.AdminAuth.anybody() {
		report("admin", fmt.Sprintf("must be a loopback address such as 127.0.0.1:9901, unless adminToken or adminAuth is set, got %q", address))
	}
	if s.AdminAuth != nil && s.AdminAuth.AnonymousRead {
		report("adminAuth.anonymousRead", fmt.Sprintf("must be false unless admin is a loopback address, got %q", address))
	}
}

// tokenShape is what a header field carries as it is, and nobody guesses.
var tokenShape = regexp.MustCompile(`^[!-~]{16,}$`)
