package exchange

import "testing"

func TestHostPattern(t *testing.T) {
	tests := []struct {
		pattern string
		matches []string
		misses  []string
	}{
		{"api.example.com", []string{"api.example.com", "API.example.COM:8443", "api.example.com."}, []string{"", "example.com", "api.example.com.evil.com", "xapi.example.com"}},
		{"*.Example.com", []string{"a.example.com", "a.b.EXAMPLE.com:1"}, []string{"example.com", ".example.com", "aexample.com"}},
		{"::1", []string{"[::1]", "[::1]:80"}, []string{"[::2]:80"}},
		{"10.0.0.1", []string{"10.0.0.1", "10.0.0.1:80"}, []string{"10.0.0.11"}},
	}
	for _, tt := range tests {
		p := NewHostPattern(tt.pattern)
		for _, host := range tt.matches {
			if !p.Match(HostOnly(host)) {
				t.Errorf("%s does not match %q, want it to", tt.pattern, host)
			}
		}
		for _, host := range tt.misses {
			if p.Match(HostOnly(host)) {
				t.Errorf("%s matches %q, want it not to", tt.pattern, host)
			}
		}
		if !IsHost(tt.pattern) {
			t.Errorf("IsHost(%q) = false, want true", tt.pattern)
		}
	}
	for _, text := range []string{"", "a:80", "http://a", "*", "a.*.b", "a b", "*.*.a", "[::1]"} {
		if IsHost(text) {
			t.Errorf("IsHost(%q) = true, want false", text)
		}
	}
}
