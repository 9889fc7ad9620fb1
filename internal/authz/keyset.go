package authz

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"sidecar/internal/exchange"
)

// KeySet is the keys that one issuer publishes at a URL. It survives reloads
// and is safe for concurrent use.
//
// One goroutine fetches them, so that a client that leaves cannot cancel what
// others wait for. Only an answer with keys that can be used replaces those
// that were there.
type KeySet struct {
	config    KeySetConfig
	transport http.RoundTripper
	random    func() float64
	voice     voice

	seen atomic.Pointer[seenKeys] // nil before the first good answer

	mu    sync.Mutex         // guards all below
	stop  context.CancelFunc // nil before Start
	over  bool               // nothing is fetched any more
	round chan struct{}      // closed when the fetch under way, or asked for, has ended; nil: none
	wake  chan struct{}      // holds one value while a fetch is asked for
	asked time.Time          // when an unknown kid last had one
	due   time.Time          // when the next one comes by itself
	err   error              // why the last one failed; nil if it did not
}

// seenKeys is a good answer, and when it came.
type seenKeys struct {
	keys keys
	at   time.Time
}

// patience is how long a request waits for keys.
const patience = 3 * time.Second

// NewKeySet returns a KeySet without keys; Start has them fetched. c must be
// valid. transport sends the requests; nil is one that knows no proxy. random
// draws from [0,1), and tell hears when fetching begins to fail and when it
// works again, from another goroutine.
func NewKeySet(c KeySetConfig, transport http.RoundTripper, random func() float64, tell func(exchange.Event)) *KeySet {
	if transport == nil {
		transport = newTransport(fetchTimeout, 0, 0) // no connection is kept: the next call comes in minutes
	}
	return &KeySet{
		config: c, transport: transport, random: random, wake: make(chan struct{}, 1),
		voice: voice{tell: tell, kind: exchange.JWKS, name: c.Issuer, well: "fetched"},
	}
}

// Start begins to fetch the keys, and goes on until Close. Only the first call
// has an effect.
func (k *KeySet) Start() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.stop != nil || k.over {
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	k.stop, k.round = stop, make(chan struct{})
	go k.run(ctx)
}

// Close ends the fetching, also before Start. Requests that still use k find
// the keys that it has.
func (k *KeySet) Close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.over = true; k.stop != nil {
		k.stop()
	}
}

// find returns what may verify a token with the header's kid and alg. For keys
// that are not there it waits a little, if they are being fetched.
func (k *KeySet) find(ctx context.Context, kid, alg string) ([]*key, error) {
	ks := k.current(time.Now())
	if ks == nil || kid != "" && !ks.has(kid) {
		if round := k.nextRound(ks != nil); round != nil {
			await(ctx, round)
			ks = k.current(time.Now())
		}
	}
	if ks == nil {
		return nil, k.none()
	}
	return ks.find(ctx, kid, alg)
}

// current returns the keys, if there are any that may still be believed at now.
func (k *KeySet) current(now time.Time) *keys {
	s := k.seen.Load()
	if s == nil || now.Sub(s.at) > k.config.JWKS.Refresh+k.config.JWKS.StaleIfError {
		return nil
	}
	return &s.keys
}

// nextRound returns what to wait for: the fetch under way or, for a key that is not
// among those we have, one that begins now, unless another did so a short
// while ago. Without any keys they are being fetched already, as fast as it is
// decent. It returns nil when there is nothing to wait for.
func (k *KeySet) nextRound(have bool) <-chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	switch {
	case k.over:
		return nil
	case k.round != nil:
		return k.round
	case !have || !k.asked.IsZero() && now.Sub(k.asked) < k.config.JWKS.UnknownKidCooldown:
		return nil
	}
	k.asked = now
	k.round = make(chan struct{})
	k.wake <- struct{}{} // has room: it holds a value only while there is a round
	return k.round
}

func await(ctx context.Context, round <-chan struct{}) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-round:
	case <-ctx.Done():
	case <-timer.C:
	}
}

// noKeysError says that a token cannot be judged: the issuer's keys are not
// known.
type noKeysError struct {
	issuer string
	last   error // may be nil
	wait   time.Duration
}

func (e *noKeysError) Error() string {
	if e.last == nil {
		return fmt.Sprintf("there are no keys of issuer %q", e.issuer)
	}
	return fmt.Sprintf("there are no keys of issuer %q: %v", e.issuer, e.last)
}

func (e *noKeysError) rejection() *rejection {
	return &rejection{
		reason:     exchange.JWKSUnavailable,
		detail:     "the keys of the token's issuer could not be fetched",
		note:       e.Error(),
		retryAfter: max(1, int(math.Ceil(e.wait.Seconds()))),
	}
}

func (k *KeySet) none() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return &noKeysError{k.config.Issuer, k.err, time.Until(k.due)}
}

// The states of a KeySet.
const (
	KeysWaiting = "waiting" // no keys were ever seen
	KeysFresh   = "fresh"
	KeysStale   = "stale"   // older than they should be, and still believed
	KeysExpired = "expired" // too old to be believed
)

// KeySetStatus is a KeySet as an operator sees it.
type KeySetStatus struct {
	Issuer string
	State  string
	// LastSuccess is when keys were last fetched; zero for never.
	LastSuccess time.Time
}

// Issuer returns whose keys they are.
func (k *KeySet) Issuer() string { return k.config.Issuer }

// Status returns how the keys stand now.
func (k *KeySet) Status() KeySetStatus {
	st := KeySetStatus{Issuer: k.config.Issuer, State: KeysWaiting}
	s := k.seen.Load()
	if s == nil {
		return st
	}
	st.LastSuccess = s.at
	switch {
	case k.current(time.Now()) == nil:
		st.State = KeysExpired
	case time.Since(s.at) > k.config.JWKS.Refresh:
		st.State = KeysStale
	default:
		st.State = KeysFresh
	}
	return st
}
