package upstream

import (
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

	// Endpoints are where the service listens. At least one.
	Endpoints []Endpoint `yaml:"endpoints"`

	// Balance says which endpoint takes a call: roundRobin, the default, goes
	// through them in turn; leastRequest takes the less busy one of two drawn at
	// random. Both go by weight. An attempt that repeats another goes to an
	// endpoint that was not called yet, if there is one.
	Balance string `yaml:"balance"`

	DNS DNS `yaml:"dns"`

	// Health has each endpoint asked whether it works. Default: none is.
	Health *Health `yaml:"health,omitempty"`
	// Outlier has an endpoint that keeps failing left out for a while. Default:
	// none is.
	Outlier *Outlier `yaml:"outlier,omitempty"`

	// SlowStart is how long an endpoint that is new, or is back, takes to get its
	// full share of the calls. 1s to 1h; default 0: it has it at once.
	SlowStart time.Duration `yaml:"slowStart,omitempty"`

	// Protocol is what http:// endpoints speak: http1, the default, or h2c
	// (HTTP/2 without TLS, as gRPC servers do). https:// endpoints negotiate.
	Protocol string `yaml:"protocol"`

	// Transport is how http:// endpoints that speak http1 are called: direct,
	// the default, which costs least; or standard, with Go's own client, which
	// carries everything out of the ordinary also under direct: upgrades,
	// trailers, request bodies of unknown length or of more than 64 KiB.
	Transport string `yaml:"transport"`

	Pool Pool `yaml:"pool"`

	// ResponseHeaderTimeout bounds one call's wait for the response's head, from
	// when the whole request has been sent. It holds beside the route's timeout,
	// which runs over all attempts, and for gRPC too, whose servers may send a
	// head with their first message only. 0 to 1h; default 0: none.
	ResponseHeaderTimeout time.Duration `yaml:"responseHeaderTimeout,omitempty"`

	// PreserveHost says whether the upstream sees the client's Host, or the
	// endpoint's. Default true.
	PreserveHost bool `yaml:"preserveHost"`
}

// Endpoint is one place where the service listens.
type Endpoint struct {
	Line int `yaml:"-"`

	// URL is http or https, a host and a port, and nothing else. Each address of
	// a name is an endpoint of its own.
	URL string `yaml:"url"`

	// Weight is its share of the calls beside the weights of the others; each
	// address of a name has it. 1 to 100, or 0 for none; default 1.
	Weight int `yaml:"weight"`
}

// Pool is how connections to each endpoint are kept.
type Pool struct {
	// ConnectTimeout bounds the making of a connection, and TLS unless TLSTimeout
	// is set. 1ms to 1m; default 1s.
	ConnectTimeout time.Duration `yaml:"connectTimeout"`
	// TLSTimeout bounds the TLS handshake, from when there is a connection. 0
	// to 1m; default 0: ConnectTimeout bounds both.
	TLSTimeout time.Duration `yaml:"tlsTimeout,omitempty"`
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
		Line: c.Line, Balance: RoundRobin, DNS: DNS{Refresh: 5 * time.Second},
		Protocol: exchange.HTTP1, Transport: Direct, PreserveHost: true,
		Pool: Pool{ConnectTimeout: time.Second, MaxIdle: 256, IdleTimeout: 4 * time.Second},
	}
}

// Validate reports every problem with c.
func (c *Config) Validate(report exchange.Report) {
	c.validateEndpoints(report)
	c.validateBalance(report)
	exchange.OneOf(report, "protocol", c.Protocol, exchange.HTTP1, exchange.H2C)
	exchange.Between(report, "pool.connectTimeout", c.Pool.ConnectTimeout, time.Millisecond, time.Minute)
	exchange.Between(report, "pool.tlsTimeout", c.Pool.TLSTimeout, 0, time.Minute)
	exchange.Between(report, "responseHeaderTimeout", c.ResponseHeaderTimeout, 0, time.Hour)
	exchange.OneOf(report, "transport", c.Transport, Direct, Standard)
	exchange.Range(report, "pool.maxIdle", c.Pool.MaxIdle, 0, 100_000)
	exchange.Between(report, "pool.idleTimeout", c.Pool.IdleTimeout, 100*time.Millisecond, time.Hour)
}
