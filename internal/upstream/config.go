package upstream

import (
	"fmt"
	"time"

	"sidecar/internal/exchange"
)

// How requests to an upstream are carried.
const (
	Direct   = "direct"
	Standard = "standard"
)

// Config is an upstream: one service and how to call it.
type Config struct {
	Line int `yaml:"-"`

	// Endpoints are where the service listens; calls go to each in turn. At
	// least one.
	Endpoints []Endpoint `yaml:"endpoints"`

	// Protocol is what http:// endpoints speak: http1, the default, or h2c
	// (HTTP/2 without TLS, as gRPC servers do). https:// endpoints negotiate.
	Protocol string `yaml:"protocol"`

	// Transport is how http:// endpoints that speak http1 are called: direct,
	// the default, which costs least; or standard, with Go's own client, which
	// carries everything out of the ordinary also under direct: upgrades,
	// trailers, request bodies of unknown length or of more than 64 KiB.
	Transport string `yaml:"transport"`

	Pool Pool `yaml:"pool"`

	// PreserveHost says whether the upstream sees the client's Host, or the
	// endpoint's. Default true.
	PreserveHost bool `yaml:"preserveHost"`
}

// Endpoint is one place where the service listens.
type Endpoint struct {
	Line int `yaml:"-"`

	// URL is http or https, a host and a port, and nothing else.
	URL string `yaml:"url"`
}

// Pool is how connections to each endpoint are kept.
type Pool struct {
	// ConnectTimeout bounds the making of a connection, TLS included.
	// 1ms to 1m; default 1s.
	ConnectTimeout time.Duration `yaml:"connectTimeout"`
	// MaxIdle is how many unused connections are kept. 0 to 100000;
	// default 256.
	MaxIdle int `yaml:"maxIdle"`
	// IdleTimeout is how long one is kept. It should be shorter than the
	// service's own, or calls meet connections that are being closed.
	// 100ms to 1h; default 4s (Node closes after 5s).
	IdleTimeout time.Duration `yaml:"idleTimeout"`
}

// SetDefaults fills c with what is not said.
func (c *Config) SetDefaults() {
	*c = Config{
		Line: c.Line, Protocol: exchange.HTTP1, Transport: Direct, PreserveHost: true,
		Pool: Pool{ConnectTimeout: time.Second, MaxIdle: 256, IdleTimeout: 4 * time.Second},
	}
}

// Validate reports every problem with c.
func (c *Config) Validate(report exchange.Report) {
	if len(c.Endpoints) == 0 {
		report("endpoints", "must name at least one endpoint")
	}
	seen := map[string]int{}
	for i, e := range c.Endpoints {
		field := fmt.Sprintf("endpoints[%d].url", i)
		if problem := exchange.HostURL(e.URL); problem != "" {
			report(field, problem)
		} else if first, ok := seen[e.URL]; ok {
			report(field, fmt.Sprintf("is that of endpoints[%d] already: %q", first, e.URL))
		}
		seen[e.URL] = i
	}
	exchange.OneOf(report, "protocol", c.Protocol, exchange.HTTP1, exchange.H2C)
	exchange.Between(report, "pool.connectTimeout", c.Pool.ConnectTimeout, time.Millisecond, time.Minute)
	exchange.OneOf(report, "transport", c.Transport, Direct, Standard)
	exchange.Range(report, "pool.maxIdle", c.Pool.MaxIdle, 0, 100_000)
	exchange.Between(report, "pool.idleTimeout", c.Pool.IdleTimeout, 100*time.Millisecond, time.Hour)
}
