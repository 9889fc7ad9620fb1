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
		{"admin.example.com.", []string{"admin.example.com", "admin.example.com.", "admin.example.com.:80"}, []string{"example.com"}},
		{"*.example.com.", []string{"a.example.com", "a.example.com."}, []string{"example.com"}},
		{"0:0::1", []string{"[::1]", "[::1]:80", "[0:0:0:0:0:0:0:1]", "[0::1]:80"}, []string{"[::2]"}},
		{"2001:DB8::A", []string{"[2001:db8::a]", "[2001:0DB8:0::A]:1"}, []string{"[2001:db8::b]"}},
		{"10.0.0.1", []string{"[::ffff:10.0.0.1]", "[::ffff:a00:1]:80"}, []string{"[::10.0.0.1]"}},
		{"::ffff:10.0.0.1", []string{"10.0.0.1", "10.0.0.1:80", "[::ffff:a00:1]"}, nil},
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

func TestHostPatternsThatCoverOthers(t *testing.T) {
	for _, tt := range []struct {
		wide, narrow string
		want         bool
	}{
		{"a.example", "A.example.", true},
		{"a.example", "b.example", false},
		{"*.example", "a.example", true},
		{"*.example", "*.a.example.", true},
		{"*.example.", "*.example", true},
		{"*.a.example", "*.example", false},
		{"*.example", "example", false},
		{"a.example", "*.example", false},
		{"0:0::1", "::1", true},
	} {
		if got := NewHostPattern(tt.wide).Covers(NewHostPattern(tt.narrow)); got != tt.want {
			t.Errorf("%s covers %s: %v, want %v", tt.wide, tt.narrow, got, tt.want)
		}
	}
}

// A name is on the path of every request.
func TestHostOnlyDoesNotAllocate(t *testing.T) {
	for _, host := range []string{"a.example.com:8080", "a.example.com.", "10.0.0.1:80"} {
		if n := testing.AllocsPerRun(100, func() { HostOnly(host) }); n != 0 {
			t.Errorf("HostOnly(%q) allocates %v times, want 0", host, n)
		}
	}
}
