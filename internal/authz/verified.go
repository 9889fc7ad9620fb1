package authz

import "sidecar/internal/exchange"

// verified is a credential that was found good, and what came of it. It is
// immutable.
type verified struct {
	principal *exchange.Principal
	forward   []exchange.Field
	holds     func() bool // asked whenever it is shown again; nil: it does
}

// Verifying a token costs more than proxying a request, so those that were
// verified are remembered by their hashes. A stranger can put nothing there.
// Some 8,000 tokens of a usual size have room.
const (
	tokensWeight  = 8 << 20
	principalSize = 512 // what is kept of a token beside its claims, about
)
