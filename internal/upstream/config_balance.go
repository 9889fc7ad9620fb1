package upstream

import (
	"cmp"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"sidecar/internal/exchange"
)

// How an endpoint is chosen.
const (
	RoundRobin   = "roundRobin"
	LeastRequest = "leastRequest"
)

// DNS is how the names in the URLs of endpoints are followed. Each address of a
// name is an endpoint of its own, as a headless Service of Kubernetes wants it;
// of a name with addresses of both families those of the one that the system
// prefers, unless there is one of each: that is one endpoint, which each new
// connection finds by the way that leads there. An answer that fails or is empty
// takes none away.
type DNS struct {
	// Refresh is how often a name is looked up again, in the background. 1s to
	// 1h; default 5s. With 0 each new connection looks the name up, and it is one
	// endpoint: for names that give other addresses with each answer.
	Refresh time.Duration `yaml:"refresh"`
}

// Health is how endpoints are asked whether they work. One is taken to work
// until it is asked, which is at once; the first answer decides by itself. If
// none works, all are called.
type Health struct {
	// Path is asked for by GET, and must answer 200 to 299. Default none: a
	// connection that comes about is enough.
	Path string `yaml:"path,omitempty"`
	// Interval is the pause between two questions, give or take a tenth. 100ms to
	// 1h; default 5s.
	Interval time.Duration `yaml:"interval"`
	// Timeout bounds each question. 10ms to 1m; default 1s.
	Timeout time.Duration `yaml:"timeout"`
	// UnhealthyAfter and HealthyAfter are how many bad and good answers in a row
	// it takes. 1 to 100; default 3, 2.
	UnhealthyAfter int `yaml:"unhealthyAfter"`
	HealthyAfter   int `yaml:"healthyAfter"`
}

// Outlier is when an endpoint is ejected for how it answers calls: it gets none
// for a while. The first failure after that ejects it again, for longer; the
// first success makes it one of the others. The last one that works is never
// ejected.
type Outlier struct {
	// ConsecutiveFailures is how many failures in a row eject an endpoint. 1 to
	// 1000; default 5.
	ConsecutiveFailures int `yaml:"consecutiveFailures"`
	// FailureOn says which ends of a call are failures. What is not, and comes
	// from the endpoint, is a success. Injected faults and what is the client's
	// fault are neither. An end is known at the response's headers: an answer that
	// breaks off later, or a gRPC status in the trailers after a message, is a
	// success. Default: gateway-error, connect-failure, reset-before-request,
	// reset, timeout, protocol, grpc-unavailable.
	FailureOn exchange.Conditions `yaml:"failureOn"`

	EjectFor EjectFor `yaml:"ejectFor"`

	// MaxEjectedPercent is the most of the endpoints that may be ejected at once,
	// rounded down. 1 to 100; default 50.
	MaxEjectedPercent int `yaml:"maxEjectedPercent"`
}

// EjectFor is how long an endpoint is ejected: Base the first time, twice as
// long each time it fails again within as long as it was out, at most Max; a
// tenth of it is added or taken away at random. 100ms to 24h; default 10s, 5m.
type EjectFor struct {
	Base time.Duration `yaml:"base"`
	Max  time.Duration `yaml:"max"`
}

// Unasked returns c for an upstream that something else stands in for: its names
// are not looked up, and its endpoints are not asked how they are.
func (c Config) Unasked() Config {
	c.DNS.Refresh, c.Health = 0, nil
	return c
}

// Idle returns why the Outlier of c can never eject anything; empty if it can, or
// nobody knows.
func (c Config) Idle() string {
	if c.Outlier == nil || slices.ContainsFunc(c.Endpoints, func(e Endpoint) bool { return c.follows(e) }) {
		return ""
	}
	n, percent := len(c.Endpoints), c.Outlier.MaxEjectedPercent
	switch {
	case n == 1:
		return "does nothing: the only endpoint is never ejected"
	case n*percent < 100:
		return fmt.Sprintf("does nothing: %d %% of %d endpoints, rounded down, is none", percent, n)
	}
	return ""
}

// follows reports whether e is a name that is looked up.
func (c Config) follows(e Endpoint) bool {
	at, err := url.Parse(e.URL)
	return err == nil && c.DNS.Refresh > 0 && isName(at.Hostname())
}

// SetDefaults fills e with what is not said.
func (e *Endpoint) SetDefaults() { *e = Endpoint{Line: e.Line, Weight: 1} }

// SetDefaults fills h with what is not said.
func (h *Health) SetDefaults() {
	*h = Health{Interval: 5 * time.Second, Timeout: time.Second, UnhealthyAfter: 3, HealthyAfter: 2}
}

// SetDefaults fills o with what is not said.
func (o *Outlier) SetDefaults() {
	*o = Outlier{
		ConsecutiveFailures: 5, MaxEjectedPercent: 50,
		FailureOn: exchange.Conditions{
			exchange.OnGatewayError, "connect-failure", "reset-before-request", "reset", "timeout", "protocol", "grpc-unavailable",
		},
		EjectFor: EjectFor{Base: 10 * time.Second, Max: 5 * time.Minute},
	}
}

func (c *Config) validateEndpoints(report exchange.Report) {
	if len(c.Endpoints) == 0 {
		report("endpoints", "must name at least one endpoint")
		return
	}
	seen, heaviest := map[string]int{}, 0
	for i, e := range c.Endpoints {
		at := fmt.Sprintf("endpoints[%d]", i)
		place := hostPort(e.URL)
		if problem := exchange.HostURL(e.URL); problem != "" {
			report(at+".url", problem)
		} else if first, ok := seen[place]; ok {
			report(at+".url", fmt.Sprintf("is that of endpoints[%d] already: %q", first, e.URL))
		} else {
			seen[place] = i
		}
		exchange.Range(report, at+".weight", e.Weight, 0, 100)
		heaviest = max(heaviest, e.Weight)
	}
	if heaviest == 0 {
		report("endpoints", "must have one whose weight is above 0: calls would have nowhere to go")
	}
}

// hostPort returns the host and the port of a URL, that of its scheme where it
// has none.
func hostPort(raw string) string {
	at, err := url.Parse(raw)
	if err != nil {
		return raw
	}
	return net.JoinHostPort(strings.ToLower(at.Hostname()), cmp.Or(at.Port(), portOf(at.Scheme)))
}

func portOf(scheme string) string {
	if scheme == "https" {
		return "443"
	}
	return "80"
}

func (c *Config) validateBalance(report exchange.Report) {
	exchange.OneOf(report, "balance", c.Balance, RoundRobin, LeastRequest)
	if c.DNS.Refresh != 0 {
		exchange.Between(report, "dns.refresh", c.DNS.Refresh, time.Second, time.Hour)
	}
	if c.SlowStart != 0 {
		exchange.Between(report, "slowStart", c.SlowStart, time.Second, time.Hour)
	}
}

// Validate reports every problem with h.
func (h *Health) Validate(report exchange.Report) {
	if h.Path != "" {
		if _, err := url.ParseRequestURI(h.Path); err != nil || h.Path[0] != '/' || strings.Contains(h.Path, "#") {
			report("path", fmt.Sprintf("must be a path that begins with a slash, without a fragment, got %q", h.Path))
		}
	}
	exchange.Between(report, "interval", h.Interval, 100*time.Millisecond, time.Hour)
	exchange.Between(report, "timeout", h.Timeout, 10*time.Millisecond, time.Minute)
	exchange.Range(report, "unhealthyAfter", h.UnhealthyAfter, 1, 100)
	exchange.Range(report, "healthyAfter", h.HealthyAfter, 1, 100)
}

// Validate reports every problem with o.
func (o *Outlier) Validate(report exchange.Report) {
	exchange.Range(report, "consecutiveFailures", o.ConsecutiveFailures, 1, 1000)
	if len(o.FailureOn) == 0 {
		report("failureOn", "must name at least one end of a call: nothing could be ejected")
	}
	exchange.Between(report, "ejectFor.base", o.EjectFor.Base, 100*time.Millisecond, 24*time.Hour)
	exchange.Between(report, "ejectFor.max", o.EjectFor.Max, 100*time.Millisecond, 24*time.Hour)
	if o.EjectFor.Max < o.EjectFor.Base {
		report("ejectFor.max", fmt.Sprintf("must be at least base, %v, got %v", o.EjectFor.Base, o.EjectFor.Max))
	}
	exchange.Range(report, "maxEjectedPercent", o.MaxEjectedPercent, 1, 100)
}
