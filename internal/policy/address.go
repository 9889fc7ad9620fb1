package policy

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"sidecar/internal/exchange"
)

// checkAddress returns what is wrong with the address of a listener, if
// anything.
func checkAddress(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil || host != "" && !exchange.IsHost(host) {
		return fmt.Sprintf("must be HOST:PORT or :PORT, got %q", address)
	}
	return ""
}

// samePlace reports whether a process cannot listen on both addresses.
func samePlace(a, b string) bool {
	hostA, portA, _ := net.SplitHostPort(a)
	hostB, portB, _ := net.SplitHostPort(b)
	everywhere := func(host string) bool {
		ip, err := netip.ParseAddr(host)
		return host == "" || err == nil && ip.IsUnspecified()
	}
	same := hostA == hostB || everywhere(hostA) || everywhere(hostB) ||
		exchange.Loopback(hostA) && exchange.Loopback(hostB) && (hostA == "localhost" || hostB == "localhost")
	return same && portA == portB && portA != "0"
}
