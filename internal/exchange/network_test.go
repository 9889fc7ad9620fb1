package exchange

import (
	"net/netip"
	"strings"
	"testing"
)

func TestNetwork(t *testing.T) {
	for text, inside := range map[string]string{
		"10.0.0.0/8": "10.255.0.1", "10.1.2.3": "10.1.2.3", "0.0.0.0/0": "192.0.2.1", "2001:db8::/32": "2001:db8::1", "::1": "::1",
	} {
		var n Network
		if err := n.UnmarshalText([]byte(text)); err != nil || !n.Contains(netip.MustParseAddr(inside)) {
			t.Errorf("%s: %v, %v, want a network with %s in it", text, n, err, inside)
		}
	}
	for text, want := range map[string]string{
		"10.0.0.1/8": "no bits behind its prefix", "10.0.0.0/33": "must be a network", "example.com": "must be a network",
		"fe80::1%eth0": "must be a network", "::ffff:10.0.0.1": "must be a network", "": "must be a network",
	} {
		if err := new(Network).UnmarshalText([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestNetworkOf(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.1": "192.0.2.1/32", "::ffff:192.0.2.1": "192.0.2.1/32",
		"2001:db8:0:1:2:3:4:5": "2001:db8:0:1::/64", "fe80::1%eth0": "fe80::/64",
	} {
		if got := NetworkOf(netip.MustParseAddr(text)); got != netip.MustParsePrefix(want) {
			t.Errorf("%s counts for %v, want %s", text, got, want)
		}
	}
	if got := NetworkOf(netip.Addr{}); got != (netip.Prefix{}) {
		t.Errorf("no address counts for %v, want nobody", got)
	}
}
