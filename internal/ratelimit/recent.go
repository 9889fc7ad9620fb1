package ratelimit

import (
	"encoding/binary"
	"hash/maphash"
	"math/bits"
	"sync/atomic"
	"time"
)

// recent finds the buckets that most requests ask for without a lock, a write or
// the cache's bookkeeping. It holds a bucket for a moment only: then the cache
// is asked again, and learns so that the bucket is in use.
type recent struct {
	seed  maphash.Seed // of this process: no client can choose keys that share a slot
	slots []atomic.Pointer[seen]
}

// seen is a bucket that the cache has returned. It does not change.
type seen struct {
	key    key
	bucket bucket
	until  int64
}

// recently is how long a bucket is found without the cache. Whoever floods that
// with new keys must not have a busy one's bucket taken for the least used, and
// so made full again: it has to hear of that one often.
const recently = 20 * time.Millisecond

// maxRecent bounds the slots. A key whose slot is another's takes the way
// through the cache.
const maxRecent = 512

func newRecent(maxKeys int) recent {
	n := 1 << (bits.Len(uint(max(min(maxKeys, maxRecent), 1))) - 1) // a power of two
	return recent{seed: maphash.MakeSeed(), slots: make([]atomic.Pointer[seen], n)}
}

// slot returns where k is, if it is anywhere.
func (rs *recent) slot(k *key) *atomic.Pointer[seen] {
	var hash uint64
	if k.value != "" {
		hash = maphash.String(rs.seed, k.value)
	} else {
		addr := k.addr.As16()
		// Of IPv6 a key has the first half; of IPv4 all is in the second.
		hash = maphash.Comparable(rs.seed, [2]uint64{binary.BigEndian.Uint64(addr[:8]), binary.BigEndian.Uint64(addr[8:])})
	}
	return &rs.slots[hash&uint64(len(rs.slots)-1)]
}

// holds reports whether s is there for k now. The whole key is compared: a hash
// is never enough to say whose bucket it is.
func (s *seen) holds(k *key, now int64) bool { return s.fresh(now) && s.key == *k }

// fresh reports whether s may still be used, and so keeps its slot.
func (s *seen) fresh(now int64) bool { return s != nil && now < s.until }
