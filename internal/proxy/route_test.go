package proxy

import (
	"net/http/httptest"
	"testing"

	"sidecar/internal/policy"
)

func TestMatch(t *testing.T) {
	tests := []struct {
		name    string
		match   policy.Match
		method  string
		target  string
		header  string // of X-Kind
		matches bool
	}{
		{"nothing asked", policy.Match{}, "GET", "http://h/any", "", true},
		{"the whole path", policy.Match{Path: "/v1"}, "GET", "http://h/v1", "", true},
		{"a longer path", policy.Match{Path: "/v1"}, "GET", "http://h/v1/x", "", false},
		{"a prefix, whole", policy.Match{PathPrefix: "/v1"}, "GET", "http://h/v1", "", true},
		{"a prefix and more", policy.Match{PathPrefix: "/v1"}, "GET", "http://h/v1/x", "", true},
		{"a prefix within a segment", policy.Match{PathPrefix: "/v1"}, "GET", "http://h/v10", "", false},
		{"a prefix that ends in a slash", policy.Match{PathPrefix: "/v1/"}, "GET", "http://h/v1/x", "", true},
		{"the root is a prefix of all", policy.Match{PathPrefix: "/"}, "GET", "http://h/v10", "", true},
		{"the decoded path", policy.Match{Path: "/a b"}, "GET", "http://h/a%20b", "", true},
		{"the method", policy.Match{Methods: []string{"GET", "HEAD"}}, "HEAD", "http://h/", "", true},
		{"another method", policy.Match{Methods: []string{"GET"}}, "POST", "http://h/", "", false},
		{"the host", policy.Match{Host: "API.example.com"}, "GET", "http://api.example.com:8080/", "", true},
		{"another host", policy.Match{Host: "api.example.com"}, "GET", "http://example.com/", "", false},
		{"any name below a host", policy.Match{Host: "*.example.com"}, "GET", "http://a.example.com/", "", true},
		{"not the host itself", policy.Match{Host: "*.example.com"}, "GET", "http://example.com/", "", false},
		{"an IPv6 host", policy.Match{Host: "::1"}, "GET", "http://[::1]:8080/", "", true},
		{"the header Host", policy.Match{Headers: map[string]string{"Host": "h"}}, "GET", "http://h/", "", true},
		{"another Host", policy.Match{Headers: map[string]string{"host": "x"}}, "GET", "http://h/", "", false},
		{"a header", policy.Match{Headers: map[string]string{"x-kind": "a"}}, "GET", "http://h/", "a", true},
		{"a header with another value", policy.Match{Headers: map[string]string{"X-Kind": "a"}}, "GET", "http://h/", "b", false},
		{"a header with any value", policy.Match{Headers: map[string]string{"X-Kind": "*"}}, "GET", "http://h/", "b", true},
		{"a header that is not there", policy.Match{Headers: map[string]string{"X-Kind": "*"}}, "GET", "http://h/", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(tt.method, tt.target, nil)
			if tt.header != "" {
				r.Header.Set("X-Kind", tt.header)
			}
			m := newMatch(tt.match)
			if got := m.takes(r, r.URL.Path); got != tt.matches {
				t.Errorf("takes(%s %s) = %v, want %v", tt.method, tt.target, got, tt.matches)
			}
		})
	}
}
