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

// NetworkOf returns whom an address counts for: one host of IPv4, or the /64 of
// IPv6 that is the least anyone gets and in which a host may choose freely. That
// of no address is the zero Prefix.
func NetworkOf(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap().WithZone("")
	bits := addr.BitLen()
	if addr.Is6() {
		bits = 64
	}
	p, _ := addr.Prefix(bits) // of no address there is none
	return p
}
