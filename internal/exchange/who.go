package exchange

import "net/netip"

// Who is by whom something was asked for. The zero value is nobody: it came by
// itself.
type Who struct {
	// Name is the credential that was shown, or what asked: SIGHUP, watch.
	// Empty where none was shown.
	Name string
	// Client is the address it came from; the zero Addr where it came from
	// none.
	Client netip.Addr
	// Peer is the other end of the connection; the zero AddrPort where there
	// is none.
	Peer netip.AddrPort
	// RequestID is of the request that asked; empty where none did.
	RequestID string
}

// IsZero reports whether w is nobody.
func (w Who) IsZero() bool { return w == Who{} }

// String returns w as logs tell it: "NAME from ADDRESS", or one of the two. It
// is not to be parsed.
func (w Who) String() string {
	switch {
	case !w.Client.IsValid():
		return w.Name
	case w.Name == "":
		return w.Client.String()
	}
	return w.Name + " from " + w.Client.String()
}
