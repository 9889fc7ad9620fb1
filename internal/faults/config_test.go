package faults

import (
	"strings"
	"testing"
	"time"
)

func TestValidate(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"an abort alone", aborts(503), ""},
		{"a delay alone", delays(time.Second), ""},
		{"nothing to break", func(*Config) {}, ": must have a delay, an abort, a body or byHeader"},
		{"two aborts", func(c *Config) { c.Abort = Abort{Status: 503, GRPC: "INTERNAL"} }, "abort: must be one of status, grpc and connection, got more"},
		{"an unknown gRPC status", func(c *Config) { c.Abort.GRPC = "BROKEN" }, `abort.grpc: must be a gRPC status such as UNAVAILABLE, got "BROKEN"`},
		{"an unknown way to break a connection", func(c *Config) { c.Abort.Connection = "close" }, `abort.connection: must be one of [reset blackhole], got "close"`},
		{"a body alone", bodyOf(Body{Bandwidth: 1}), ""},
		{"requests that ask", asking(ByHeader{MinBandwidth: 1}), ""},
		{"requests that ask, and a delay", func(c *Config) { asking(ByHeader{MinBandwidth: 1})(c); delays(1)(c) }, "byHeader: must stand without delay, abort and body: requests say what breaks them"},
		{"more corruption than all", bodyOf(Body{Corrupt: 101}), "body.corrupt: must be 0 to 100, got 101"},
		{"an unknown distribution", func(c *Config) { c.Delay = Delay{1, 1, "even"} }, `delay.distribution: must be one of [uniform normal], got "even"`},
		{"a distribution of nothing", func(c *Config) { c.Delay = Delay{1, 0, "normal"} }, "delay.distribution: must have a jitter beside it"},
		{"a path that is none", func(c *Config) { aborts(503)(c); c.When.Paths = []string{"/a", "b"} }, `when.paths[1]: must begin with /, got "b"`},
		{"a principal that is nobody", func(c *Config) { aborts(503)(c); c.When.Principals = []string{""} }, "when.principals[0]: must be a subject, such as alice or job:*"},
		{"a share of more than all", func(c *Config) { aborts(503)(c); c.Percent = 100.5 }, "percent: must be 0 to 100, got 100.5"},
		{"a fault for ever", func(c *Config) { aborts(503)(c); c.MaxDuration = 48 * time.Hour }, "maxDuration: must be 1s to 24h0m0s, got 48h0m0s"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := policy("chaos", tt.change)
			var got []string
			f.Validate(func(field, problem string) { got = append(got, field+": "+problem) })
			if strings.Join(got, "; ") != tt.want {
				t.Errorf("Validate = %q, want %q", got, tt.want)
			}
		})
	}
}
