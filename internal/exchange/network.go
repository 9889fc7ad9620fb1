package exchange

import (
	"fmt"
	"net/netip"
)

// Network is a range of addresses: a CIDR such as 10.0.0.0/8, or one address.
type Network struct{ netip.Prefix }

// UnmarshalText accepts a CIDR without bits behind its prefix, or an address
// without zone.
func (n *Network) UnmarshalText(text []byte) error {
	p, err := netip.ParsePrefix(string(text))
	if a, notOne := netip.ParseAddr(string(text)); notOne == nil && a.Zone() == "" {
		p, err = a.Prefix(a.BitLen())
	}
	// An IPv4 peer is IPv4, however its socket writes it.
	if err != nil || p.Addr().Is4In6() {
		return fmt.Errorf("must be a network such as 10.0.0.0/8 or an address such as 10.1.2.3, got %q", text)
	}
	if p != p.Masked() {
		return fmt.Errorf("must have no bits behind its prefix, as 10.0.0.0/8, got %q", text)
	}
	n.Prefix = p
	return nil
}
