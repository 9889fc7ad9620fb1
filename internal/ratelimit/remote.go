package ratelimit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"sidecar/internal/exchange"
)

// remote is one policy in its store.
type remote struct {
	store   *Store
	policy  string
	sources sources
	prefix  string // of the names of its keys
	limit   *limit // nil for a sliding window
	window  *windowLimit
}

func newRemote(name string, c Config, s *Store) *remote {
	m := &remote{store: s, policy: name, sources: newSources(c.Key)}
	switch {
	case s.config.IsService():
		return m
	case c.Algorithm == SlidingWindow:
		m.window = newWindowLimit(c)
	default:
		m.limit = newLimit(c)
	}
	m.prefix = strings.Join([]string{prefixOf(s.config), "ratelimit", name, version(c), ""}, ":")
	return m
}

// isService reports whether the store has limits of its own, and takes nothing
// back.
func (m *remote) isService() bool { return m.store.config.IsService() }

func prefixOf(c StoreConfig) string {
	if c.Prefix == "" {
		return usualPrefix
	}
	return c.Prefix
}

// version is the same for policies whose buckets mean the same. It is part of
// the names of keys: while replicas have two versions of a policy, each counts
// by its own.
func version(c Config) string {
	rate, _ := c.Rate.MarshalText()
	text := fmt.Sprintf("1 %s %s %d %v %q", c.Algorithm, rate, c.burst(), c.maxWait(), c.Key)
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:6])
}

// take has the store spend one request of d.
func (m *remote) take(d *draw, record *exchange.Record, patience time.Duration) (bool, error) {
	q := question{remote: m, key: d.key, patience: patience}
	var a answer
	err := m.store.call(func(ctx context.Context, b backend) (err error) {
		a, err = b.take(ctx, q)
		return err
	})
	if err != nil {
		return false, err
	}
	d.level, d.known, d.taken, d.delay, d.part = a.level, a.known, a.ok, a.delay, a.part
	if !d.shadow {
		for _, f := range a.header {
			record.AddHeader(f.Name, f.Value)
		}
	}
	return a.ok, nil
}

// giveBack undoes a take. What the store does not hear then, it has counted;
// the protocol of a service has no word for it.
func (m *remote) giveBack(d *draw) {
	if m.isService() {
		return
	}
	q := question{remote: m, key: d.key}
	part := d.part
	_ = m.store.call(func(ctx context.Context, b backend) error { return b.giveBack(ctx, q, part) })
}

// keyName returns the name of the bucket in Redis. Values are hashed: a key
// may be a secret, such as an API key.
func (q question) keyName() string {
	switch {
	case len(q.sources) == 0:
		return q.prefix + "all"
	case q.key == key{}:
		return q.prefix + noKey
	}
	addr := ""
	if q.key.addr.IsValid() {
		addr = q.key.addr.String()
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %q %q %q", q.key.source, q.key.issuer, q.key.value, addr))
	return q.prefix + hex.EncodeToString(sum[:16])
}

// entry is one part of what a service is told of a request.
type entry struct{ key, value string }

// entries returns what a service is told of a request.
func (q question) entries() []entry {
	switch {
	case len(q.sources) == 0:
		return []entry{{"generic_key", q.policy}}
	case q.key == key{}:
		return []entry{{"generic_key", noKey}}
	}
	s := q.sources[q.key.source-1]
	switch s.kind {
	case "ip":
		addr := q.key.addr.String()
		if q.key.addr.Is6() {
			addr += "/64"
		}
		return []entry{{"remote_address", addr}}
	case "principal":
		if q.key.issuer == "" {
			return []entry{{"principal", q.key.value}}
		}
		return []entry{{"issuer", q.key.issuer}, {"principal", q.key.value}}
	}
	return []entry{{s.text, q.key.value}}
}
