package authz

import (
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// known are the tokens that were verified, by all their bytes. It is bounded
// and safe for concurrent use. To find one takes no lock, so that the one token
// of a busy client is no place where processors meet.
//
// The hash only says where to look, and its seed is told to nobody: who has not
// the token itself can neither aim at another's place nor learn from how long
// it takes how much of a guess is right.
type known struct {
	seed   maphash.Seed
	places []atomic.Pointer[knownToken]

	mu    sync.Mutex // guards all below, and every change of what hangs at places
	count int
	left  int // room for so much more
	first *knownToken
	last  *knownToken
}

// knownToken is one token, and what came of it last. All but what is atomic, or
// guarded by known.mu, never changes. It fits one line of the processor's caches:
// whose turn it is to go has mostly left them.
type knownToken struct {
	token string
	hash  uint64
	size  int32

	asked atomic.Bool // for, since its turn to go came last
	came  atomic.Pointer[verified]
	next  atomic.Pointer[knownToken] // at the same place

	after *knownToken // came after this one; guarded by known.mu
}

// knownPlaces is how many lists there are: most tokens have one to themselves
// when there is no room for more of them. A token that is new is compared with
// all in its list, and those are not in the processor's caches.
const knownPlaces = 1 << 14

// newKnown returns one whose sizes sum up to most.
func newKnown(most int) *known {
	return &known{seed: maphash.MakeSeed(), places: make([]atomic.Pointer[knownToken], knownPlaces), left: most}
}

// get returns what came of token, unless that is over at now; nil if it is not
// known.
func (k *known) get(token string, now time.Time) *verified {
	t := k.find(token, maphash.String(k.seed, token))
	if t == nil {
		return nil
	}
	v := t.came.Load()
	if !now.Before(v.until) || v.holds != nil && !v.holds(now) {
		return nil
	}
	if !t.asked.Load() { // to write each time would take it from the other processors
		t.asked.Store(true)
	}
	return v
}

// put keeps what came of token, which takes about size bytes, until that is
// over.
func (k *known) put(token string, v *verified, size int, now time.Time) {
	if !now.Before(v.until) {
		return
	}
	hash := maphash.String(k.seed, token)
	k.mu.Lock()
	defer k.mu.Unlock()
	if t := k.find(token, hash); t != nil {
		t.came.Store(v)
		return
	}
	// The token is a copy: what it was cut from belongs to a request.
	t := &knownToken{token: strings.Clone(token), hash: hash, size: int32(size)}
	t.came.Store(v)
	at := k.place(hash)
	t.next.Store(at.Load())
	at.Store(t)
	k.line(t)
	k.count++
	k.left -= size
	for k.left < 0 {
		k.makeRoom(now)
	}
}

func (k *known) place(hash uint64) *atomic.Pointer[knownToken] {
	return &k.places[hash%knownPlaces]
}

func (k *known) find(token string, hash uint64) *knownToken {
	for t := k.place(hash).Load(); t != nil; t = t.next.Load() {
		if t.hash == hash && t.token == token {
			return t
		}
	}
	return nil
}

// line puts t at the end of the line. k.mu is held.
func (k *known) line(t *knownToken) {
	if t.after = nil; k.last == nil {
		k.first = t
	} else {
		k.last.after = t
	}
	k.last = t
}

// makeRoom takes the first of the line, and lets it go, or has it stand in line
// again if it was asked for meanwhile. k.mu is held.
func (k *known) makeRoom(now time.Time) {
	t := k.first
	if k.first = t.after; k.first == nil {
		k.last = nil
	}
	if t.asked.Swap(false) && now.Before(t.came.Load().until) {
		k.line(t)
		return
	}
	// Who reads the list just now may stand at t: its next one stays.
	at := k.place(t.hash)
	for at.Load() != t {
		at = &at.Load().next
	}
	at.Store(t.next.Load())
	k.count--
	k.left += int(t.size)
}
