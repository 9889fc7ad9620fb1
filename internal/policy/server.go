package policy

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"sidecar/internal/certs"
	"sidecar/internal/exchange"
)

// Validate reports every problem with s.
func (s *Server) Validate(report exchange.Report) {
	listeners := []struct{ key, address string }{
		{"listen", s.Listen}, {"telemetry", s.Telemetry}, {"admin", s.Admin},
	}
	for i, l := range listeners {
		if problem := checkAddress(l.address); problem != "" {
			report(l.key, problem)
			continue
		}
		for _, other := range listeners[:i] {
			if samePlace(l.address, other.address) {
				report(l.key, fmt.Sprintf("must not listen where %s does, %s, got %q", other.key, other.address, l.address))
			}
		}
		if host, _, _ := net.SplitHostPort(l.address); l.key == "admin" && !exchange.Loopback(host) {
			s.exposed(report, l.address)
		}
	}
	if !s.AdminToken.IsZero() && !tokenShape.MatchString(s.AdminToken.Value()) {
		report("adminToken", fmt.Sprintf("must have at least 16 characters, all of them visible ASCII, got %q", s.AdminToken))
	}
	if len(s.Protocols) == 0 {
		report("protocols", "must have at least one of http1 and h2c")
	}
	for i, p := range s.Protocols {
		at := fmt.Sprintf("protocols[%d]", i)
		exchange.OneOf(report, at, p, HTTP1, H2C)
		if slices.Contains(s.Protocols[:i], p) {
			report(at, "is in the list already: "+p)
		}
	}
	exchange.OneOf(report, "paths", s.Paths, PathsStrict, PathsRaw)
	if s.AdminAuth != nil && len(s.AdminAuth.Certificates) > 0 && (s.AdminTLS == nil || !s.AdminTLS.Verifies()) {
		report("adminAuth.certificates", "must not be there unless server.adminTLS verifies them: say its clientAuth")
	}
}

// TLSOf returns the sections of listeners with TLS, by their keys.
func (s *Server) TLSOf() map[string]*certs.Server {
	all := map[string]*certs.Server{"tls": s.TLS, "telemetryTLS": s.TelemetryTLS, "adminTLS": s.AdminTLS}
	maps.DeleteFunc(all, func(_ string, c *certs.Server) bool { return c == nil })
	return all
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

func checkAddress(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil || host != "" && !exchange.IsHost(host) {
		return fmt.Sprintf("must be HOST:PORT or :PORT, got %q", address)
	}
	return ""
}

// samePlace reports whether a process cannot listen on both addresses.
func samePlace(a, b string) bool {
	hostA, portA, _ := net.SplitHostPort(a)
	hostB, portB, _ := net.SplitHostPort(b)
	everywhere := func(host string) bool {
		ip, err := netip.ParseAddr(host)
		return host == "" || err == nil && ip.IsUnspecified()
	}
	same := hostA == hostB || everywhere(hostA) || everywhere(hostB) ||
		exchange.Loopback(hostA) && exchange.Loopback(hostB) && (hostA == "localhost" || hostB == "localhost")
	return same && portA == portB && portA != "0"
}

// Validate reports every problem with l. None of these may be without bound:
// a client could hold a connection, or memory, for ever.
func (l *Limits) Validate(report exchange.Report) {
	exchange.Between(report, "readHeaderTimeout", l.ReadHeaderTimeout, time.Millisecond, 5*time.Minute)
	exchange.Between(report, "idleTimeout", l.IdleTimeout, time.Millisecond, 24*time.Hour)
	exchange.Range(report, "maxConnections", l.MaxConnections, 1, 1_000_000)
	exchange.Range(report, "maxConnectionsPerAddress", l.MaxConnectionsPerAddress, 0, 1_000_000)
	exchange.Range(report, "maxConcurrentStreams", l.MaxConcurrentStreams, 1, 100_000)
	const least, most = exchange.Size(1 << 10), exchange.Size(16 << 20)
	if l.MaxHeaderBytes < least || l.MaxHeaderBytes > most {
		report("maxHeaderBytes", fmt.Sprintf("must be %v to %v, got %v", least, most, l.MaxHeaderBytes))
	}
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

// Validate reports every problem with s.
func (s *Shutdown) Validate(report exchange.Report) {
	exchange.Between(report, "drainDelay", s.DrainDelay, 0, time.Hour)
	exchange.Between(report, "timeout", s.Timeout, 0, 24*time.Hour)
}
