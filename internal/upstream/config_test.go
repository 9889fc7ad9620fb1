package upstream

import (
	"strings"
	"testing"
	"time"
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
