package exchange

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"net/url"
	"strings"
	"testing"
)

func TestSubjectOf(t *testing.T) {
	const workload = "spiffe://cluster.local/ns/jobs/sa/nightly"
	named := func(cn string, dns []string, uris ...string) *x509.Certificate {
		c := &x509.Certificate{Subject: pkix.Name{CommonName: cn}, DNSNames: dns}
		for _, text := range uris {
			u, err := url.Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			c.URIs = append(c.URIs, u)
		}
		return c
	}
	dns := func(names ...string) []string { return names }
	tests := []struct {
		name string
		c    *x509.Certificate
		want string
		err  string // a part of it
	}{
		{"a URI goes before all", named("shop", dns("shop.example"), workload), workload, ""},
		{"a URI may be any that has a scheme", named("", nil, "urn:device:7"), "urn:device:7", ""},
		{"then the first DNS name", named("shop", dns("a.example", "b.example")), "a.example", ""},
		{"then the common name", named("shop", nil), "shop", ""},
		{"two URIs", named("shop", nil, workload, workload), "", "more than one URI"},
		{"a URI that looks like a name", named("", nil, "shop.example"), "", "without a scheme"},
		{"a common name that looks like a URI", named(workload, nil), "", "common name that looks like a URI"},
		{"a DNS name that looks like a URI", named("shop", dns(workload)), "", "DNS name that looks like a URI"},
		{"a common name like that does not matter behind a DNS name", named(workload, dns("a.example")), "a.example", ""},
		{"no name", named("", nil), "", "names nobody"},
		{"an empty DNS name", named("shop", dns("")), "", "names nobody"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := SubjectOf(tt.c)
			if got != tt.want || (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("SubjectOf() = %q, %v; want %q, an error with %q", got, err, tt.want, tt.err)
			}
		})
	}
}
