package authz

import (
	"time"

	"sidecar/internal/exchange"
)

// verified is a credential that was found good, and what came of it. It is
// immutable.
type verified struct {
	principal *exchange.Principal
	// forward is what the upstream sees of the principal, and of the credential
	// as far as that is the same each time.
	forward []exchange.Field

	// Of one that is remembered:

	until time.Time                // it is over then
	holds func(now time.Time) bool // asked whenever it is shown again; nil: it does
}

// Verifying a token costs more than proxying a request, so those that were
// verified are remembered. A stranger can put nothing there. Some 8,000 tokens of
// a usual size have room.
const (
	tokensWeight  = 12 << 20
	principalSize = 512 // what is kept of a token beside itself and its claims, about
)

// keptSize is about what is kept of a token: itself, and its claims.
func keptSize(token string) int { return 2*len(token) + principalSize }
