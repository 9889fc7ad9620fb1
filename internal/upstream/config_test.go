package upstream

import (
	"strings"
	"testing"
	"time"

	"sidecar/internal/exchange"
)

func TestValidate(t *testing.T) {
	tests := []struct {
		name   string
		urls   []string
		change func(*Config)
		want   string // a part; empty: valid
	}{
		{"one endpoint", []string{"http://127.0.0.1:8081"}, nil, ""},
		{"several, one by IPv6", []string{"https://orders:443/", "http://[::1]:80"}, nil, ""},
		{"none", nil, nil, "endpoints: must name at least one endpoint"},
		{"the same twice", []string{"http://a:1", "http://a:1"}, nil, `endpoints[1].url: is that of endpoints[0] already: "http://a:1"`},
		{"another scheme", []string{"ftp://a:1"}, nil, "endpoints[0].url: must be http://HOST:PORT or https://HOST:PORT, got"},
		{"a path", []string{"http://a:1/v1"}, nil, "endpoints[0].url: must be http://HOST:PORT or https://HOST:PORT and nothing behind it"},
		{"an empty query", []string{"http://a:1?"}, nil, "endpoints[0].url: must be http://HOST:PORT or https://HOST:PORT and nothing behind it"},
		{"a port that is none", []string{"http://a:65536"}, nil, "endpoints[0].url: must be http://HOST:PORT or https://HOST:PORT, with a port of 1 to 65535"},
		{"a password", []string{"http://a:secret@b:1"}, nil, "a secret must not stand in the policy file"},
		{"an unknown protocol", []string{"http://a:1"}, func(c *Config) { c.Protocol = "h3" }, "protocol: must be one of"},
		{"no time to connect", []string{"http://a:1"}, func(c *Config) { c.Pool.ConnectTimeout = 0 }, "pool.connectTimeout: must be 1ms to 1m0s"},
		{"idle for too long", []string{"http://a:1"}, func(c *Config) { c.Pool.IdleTimeout = 2 * time.Hour }, "pool.idleTimeout: must be 100ms to 1h0m0s"},
		{"two schemes, one place", []string{"http://a:80", "https://A:80"}, nil, "endpoints[1].url: is that of endpoints[0] already"},
		{"a weight above 100", []string{"http://a:1"}, weigh(101), "endpoints[0].weight: must be 0 to 100, got 101"},
		{"no weight at all", []string{"http://a:1", "http://b:1"}, weigh(0, 0), "endpoints: must have one whose weight is above 0"},
		{"one without weight", []string{"http://a:1", "http://b:1"}, weigh(0, 1), ""},
		{"another balance", []string{"http://a:1"}, func(c *Config) { c.Balance = "random" }, "balance: must be one of [roundRobin leastRequest]"},
		{"names looked up all the time", []string{"http://a:1"}, func(c *Config) { c.DNS.Refresh = time.Millisecond }, "dns.refresh: must be 1s to 1h0m0s"},
		{"names left to connections", []string{"http://a:1"}, func(c *Config) { c.DNS.Refresh = 0 }, ""},
		{"a start that is too fast", []string{"http://a:1"}, func(c *Config) { c.SlowStart = time.Millisecond }, "slowStart: must be 1s to 1h0m0s"},
		{"fewer than no idle connections", []string{"http://a:1"}, func(c *Config) { c.Pool.MaxIdle = -1 }, "pool.maxIdle: must be 0 to 100000"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := config(tt.change, tt.urls...)
			var got []string
			c.Validate(func(field, problem string) { got = append(got, field+": "+problem) })
			text := strings.Join(got, "; ")
			if len(got) > 1 || (tt.want == "") != (text == "") || !strings.Contains(text, tt.want) {
				t.Errorf("Validate = %q, want %q", text, tt.want)
			}
			if strings.Contains(text, "a:secret") {
				t.Errorf("Validate tells a secret: %q", text)
			}
		})
	}
}

func TestValidateHealthAndOutlier(t *testing.T) {
	health := func(change func(*Health)) interface{ Validate(exchange.Report) } {
		h := &Health{}
		h.SetDefaults()
		change(h)
		return h
	}
	eject := func(change func(*Outlier)) interface{ Validate(exchange.Report) } {
		o := &Outlier{}
		o.SetDefaults()
		change(o)
		return o
	}
	tests := []struct {
		name   string
		config interface{ Validate(exchange.Report) }
		want   string // a part; empty: valid
	}{
		{"health as it is", health(func(*Health) {}), ""},
		{"a path with a query", health(func(h *Health) { h.Path = "/healthz?full=1" }), ""},
		{"a path without a slash", health(func(h *Health) { h.Path = "healthz" }), `path: must be a path that begins with a slash, without a fragment, got "healthz"`},
		{"a URL for a path", health(func(h *Health) { h.Path = "http://a/" }), "path: must be a path"},
		{"a path with a fragment, which nobody would be asked for", health(func(h *Health) { h.Path = "/healthz#full" }), "path: must be a path that begins with a slash, without a fragment"},
		{"a path of two lines", health(func(h *Health) { h.Path = "/a\r\nX: y" }), "path: must be a path"},
		{"asked all the time", health(func(h *Health) { h.Interval = 0 }), "interval: must be 100ms to 1h0m0s"},
		{"no time to answer", health(func(h *Health) { h.Timeout = 0 }), "timeout: must be 10ms to 1m0s"},
		{"unhealthy after nothing", health(func(h *Health) { h.UnhealthyAfter = 0 }), "unhealthyAfter: must be 1 to 100"},
		{"healthy after nothing", health(func(h *Health) { h.HealthyAfter = 0 }), "healthyAfter: must be 1 to 100"},
		{"outlier as it is", eject(func(*Outlier) {}), ""},
		{"ejected for nothing", eject(func(o *Outlier) { o.ConsecutiveFailures = 0 }), "consecutiveFailures: must be 1 to 1000"},
		{"nothing is a failure", eject(func(o *Outlier) { o.FailureOn = nil }), "failureOn: must name at least one"},
		{"max below base", eject(func(o *Outlier) { o.EjectFor.Max = time.Second }), "ejectFor.max: must be at least base, 10s, got 1s"},
		{"no ejection", eject(func(o *Outlier) { o.EjectFor.Base = 0 }), "ejectFor.base: must be 100ms"},
		{"more than all", eject(func(o *Outlier) { o.MaxEjectedPercent = 101 }), "maxEjectedPercent: must be 1 to 100"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			tt.config.Validate(func(field, problem string) { got = append(got, field+": "+problem) })
			text := strings.Join(got, "; ")
			if len(got) > 1 || (tt.want == "") != (text == "") || !strings.Contains(text, tt.want) {
				t.Errorf("Validate = %q, want %q", text, tt.want)
			}
		})
	}
}

func TestAnOutlierThatCanEjectNothingIsIdle(t *testing.T) {
	tests := []struct {
		name    string
		percent int
		urls    []string
		want    string
	}{
		{"half of two", 50, three[:2], ""},
		{"all of one", 100, three[:1], "does nothing: the only endpoint is never ejected"},
		{"a third of two", 33, three[:2], "does nothing: 33 % of 2 endpoints, rounded down, is none"},
		{"a third of who knows how many", 33, []string{"http://orders:3000"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := config(outlier, tt.urls...)
			c.Outlier.MaxEjectedPercent = tt.percent
			if got := c.Idle(); got != tt.want {
				t.Errorf("Idle = %q, want %q", got, tt.want)
			}
		})
	}
}
