package authz

import (
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/maypok86/otter/v2"
)

// verdicts remembers what a decision point said. It is bounded and safe for
// concurrent use.
type verdicts struct {
	holds time.Duration
	kept  *otter.Cache[digest, remembered]
}

type remembered struct {
	*verdict
	until time.Time
}

// usualVerdict is what one answer may take and count as one, in bytes.
const usualVerdict = 1 << 10

func newVerdicts(c ExternalCacheConfig) *verdicts {
	return &verdicts{c.For, otter.Must(&otter.Options[digest, remembered]{
		MaximumWeight: uint64(c.MaxEntries),
		Weigher:       func(_ digest, r remembered) uint32 { return uint32(1 + r.size()/usualVerdict) },
	})}
}

func (vs *verdicts) get(key digest) (*verdict, bool) {
	r, ok := vs.kept.GetIfPresent(key)
	return r.verdict, ok && time.Now().Before(r.until)
}

func (vs *verdicts) put(key digest, v *verdict) {
	vs.kept.Set(key, remembered{v, time.Now().Add(vs.holds)})
}

// keyOf returns what tells questions apart: all that is asked but the names of
// this one occurrence. It holds no credential, only a hash.
func keyOf(h http.Header) digest {
	sum := sha256.New()
	write := func(s string) {
		// Its length, so that no two lists of texts read the same.
		_, _ = sum.Write(binary.BigEndian.AppendUint64(nil, uint64(len(s))))
		_, _ = sum.Write([]byte(s))
	}
	for _, name := range slices.Sorted(maps.Keys(h)) {
		if name == requestIDField || name == traceParentField {
			continue
		}
		write(name)
		for _, value := range h[name] {
			write("=")
			write(value)
		}
	}
	return digest(sum.Sum(nil))
}
