package exchange

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
)

// HostPattern is a host, or any name below one: *.example.com is any below
// example.com, not that itself. It is made by NewHostPattern.
type HostPattern string

// NewHostPattern returns the pattern that text is, spelled as HostOnly spells
// hosts.
func NewHostPattern(text string) HostPattern {
	return HostPattern(spelledOnce(strings.TrimPrefix(strings.ToLower(text), "*")))
}

// Match reports whether host, without port as HostOnly returns it, is one of
// p. Letters are the same in both cases.
func (p HostPattern) Match(host string) bool {
	if want := string(p); strings.HasPrefix(want, ".") {
		return len(host) > len(want) && strings.EqualFold(host[len(host)-len(want):], want)
	}
	return strings.EqualFold(host, string(p))
}

// Covers reports whether p matches every host that q matches.
func (p HostPattern) Covers(q HostPattern) bool {
	if strings.HasPrefix(string(p), ".") {
		// Also where q is a wildcard itself: *.b.c is below *.c.
		return strings.HasSuffix(string(q), string(p))
	}
	return p == q
}

// HostOnly returns host without its port, and without the dot that may end a
// name. An IP address has one spelling, however host has it.
func HostOnly(host string) string {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		host = host[:i]
	}
	return spelledOnce(strings.Trim(host, "[]"))
}

// spelledOnce returns a host in the spelling that all of its own share.
func spelledOnce(host string) string {
	if strings.Contains(host, ":") {
		if addr, err := netip.ParseAddr(host); err == nil {
			return addr.Unmap().WithZone("").String()
		}
	}
	return strings.TrimSuffix(host, ".")
}

// A host name, or any name below one.
var hostShape = regexp.MustCompile(`^(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_-]{0,62}\.)*[A-Za-z0-9_-]{0,62}$`)

// IsHost reports whether text is a HostPattern: a name, *.NAME or an address.
func IsHost(text string) bool {
	_, err := netip.ParseAddr(text)
	return err == nil || hostShape.MatchString(text) && len(text) <= 253
}

// Host reports a text that is no HostPattern.
func Host(report Report, field, host string) {
	if !IsHost(host) {
		report(field, fmt.Sprintf("must be a host without port, or *.HOST for any below it, got %q", host))
	}
}
