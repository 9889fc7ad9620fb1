package policy

import (
	"fmt"
	"time"

	"sidecar/internal/exchange"
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

// Validate reports every problem with l. None but MaxConnectionsPerAddress may
// be without bound: a client could hold a connection, or memory, for ever.
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

// Shutdown is what SIGTERM does.
type Shutdown struct {
	// DrainDelay is how long new requests are still served, so that others
	// learn that we go. Default 5s.
	DrainDelay time.Duration `yaml:"drainDelay"`
	// Timeout is how long requests in flight may then take. Default 25s.
	Timeout time.Duration `yaml:"timeout"`
}

// Validate reports every problem with s.
func (s *Shutdown) Validate(report exchange.Report) {
	exchange.Between(report, "drainDelay", s.DrainDelay, 0, time.Hour)
	exchange.Between(report, "timeout", s.Timeout, 0, 24*time.Hour)
}
