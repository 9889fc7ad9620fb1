package policy

import (
	"net/netip"

	"sidecar/internal/exchange"
)

// Network is a range of addresses.
type Network = exchange.Network

// loopback are the addresses of this machine to itself.
func loopback() []Network {
	return []Network{{Prefix: netip.MustParsePrefix("127.0.0.0/8")}, {Prefix: netip.MustParsePrefix("::1/128")}}
}
