package authz

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"

	"sidecar/internal/exchange"
)

// verified is a token that was found good, and what came of it. It is
// immutable.
type verified struct {
	size      int // of the token
	issuer    *issuer
	keys      *keys     // that were believed when it was verified
	until     time.Time // its exp, and the skew that it may be late by
	principal *exchange.Principal
	forward   []exchange.Field
}

// holds reports whether v may still be believed: the token has not expired,
// and its issuer goes by the same keys.
func (v *verified) holds() bool {
	return time.Now().Before(v.until) && v.issuer.keys.current() == v.keys
}

// tokens remembers tokens that were verified, since verifying one costs more
// than proxying a request. It holds no token, only hashes of them; a stranger
// can put nothing into it. It is bounded and safe for concurrent use.
type tokens struct {
	kept *otter.Cache[digest, *verified]
}

// digest tells tokens apart. It is cryptographic: with anything less, one token
// could be made to pass for another.
type digest [sha256.Size]byte

// Some 8,000 tokens of a usual size are remembered.
const (
	tokensWeight  = 8 << 20
	principalSize = 512 // what is kept of a token beside its claims, about
)

func newTokens() *tokens {
	return &tokens{otter.Must(&otter.Options[digest, *verified]{
		MaximumWeight: tokensWeight,
		Weigher:       func(_ digest, v *verified) uint32 { return uint32(v.size + principalSize) },
	})}
}

func (ts *tokens) get(d digest) (*verified, bool) {
	v, ok := ts.kept.GetIfPresent(d)
	return v, ok && v.holds()
}

func (ts *tokens) put(d digest, v *verified) { ts.kept.Set(d, v) }

// digestOf returns the hash of token.
func digestOf(token string) digest {
	buffer := digestBuffers.Get().(*[]byte)
	defer digestBuffers.Put(buffer)
	*buffer = append((*buffer)[:0], token...)
	d := digest(sha256.Sum256(*buffer))
	clear(*buffer)
	return d
}

var digestBuffers = sync.Pool{New: func() any { return new([]byte) }}
