package ratelimit

import (
	"fmt"
	"strings"
	"time"

	"sidecar/internal/exchange"
)

// Config is a rateLimit policy. It is one set of buckets, shared by all routes
// that use it.
type Config struct {
	Line int `yaml:"-"`

	// Mode is enforce, the default; shadow: the policy says what it would do,
	// and does nothing; or disabled: it is not asked. In shadow no request waits
	// for its turn, but it does wait for what a store says.
	Mode exchange.Mode `yaml:"mode,omitempty"`

	// Algorithm is tokenBucket, the default: Burst requests at once, then one
	// each time Rate allows. leakyBucket: those that come too soon wait for their
	// turn, one behind the other, and only who would wait for longer than MaxWait
	// is refused. slidingWindow: never more than the number in Rate within any
	// time of that length; what was spent comes back up to a tenth of it late.
	Algorithm string `yaml:"algorithm"`

	// Rate is how many requests pass in the long run: 50/s, 100/m or 1000/h. It
	// must be said, but where store is an Envoy-protocol service, which has
	// limits of its own: there it is needed by onStoreFailure local only.
	Rate Rate `yaml:"rate,omitempty"`

	// Burst is how many may pass at once. Default, and 0: the number in Rate; 1
	// for leakyBucket. Not for slidingWindow.
	Burst int `yaml:"burst,omitempty"`

	// MaxWait is how long a request may wait for its turn, for leakyBucket. 1ms
	// to 30s; default 250ms.
	MaxWait time.Duration `yaml:"maxWait,omitempty"`

	// MaxWaiting is how many requests may wait at once in this process, of all
	// keys together, for leakyBucket. 1 to 100000; default 1000.
	MaxWaiting int `yaml:"maxWaiting,omitempty"`

	// Key is whose bucket a request draws from: the first of these that the
	// request has. claim:NAME, principal, ip (IPv6 by /64), header:NAME,
	// route. None of them there: one shared bucket named none. Empty: one
	// bucket for all.
	Key []string `yaml:"key,omitempty"`

	// MaxKeys bounds how many buckets are kept; beyond it the least used is
	// forgotten. 1 to 1000000; default 10000. It does not bound those of a store.
	MaxKeys int `yaml:"maxKeys"`

	// Store names the one of stores that keeps the buckets, so that all
	// processes that name it share them. Default: this process keeps its own.
	Store string `yaml:"store,omitempty"`

	// OnStoreFailure is what holds while the store cannot be asked: local, the
	// default: this process counts for itself, with the whole rate; allow: every
	// request passes; deny: none does, 503 store_unavailable.
	OnStoreFailure string `yaml:"onStoreFailure,omitempty"`
}

// The algorithms.
const (
	TokenBucket   = "tokenBucket"
	LeakyBucket   = "leakyBucket"
	SlidingWindow = "slidingWindow"
)

// What holds while a store cannot be asked.
const (
	Local = "local"
	Allow = "allow"
	Deny  = "deny"
)

// What holds for leakyBucket where nothing is said.
const (
	usualWait    = 250 * time.Millisecond
	usualWaiting = 1000
)

// SetDefaults fills c with what is not said.
func (c *Config) SetDefaults() { *c = Config{Line: c.Line, Algorithm: TokenBucket, MaxKeys: 10000} }

// Validate reports every problem with c but those that depend on what Store is.
func (c *Config) Validate(report exchange.Report) {
	exchange.OneOf(report, "algorithm", c.Algorithm, TokenBucket, LeakyBucket, SlidingWindow)
	if c.Rate.Count == 0 && c.Store == "" {
		report("", "must have a rate, such as 50/s")
	}
	exchange.Range(report, "burst", c.Burst, 0, 1_000_000)
	exchange.Range(report, "maxKeys", c.MaxKeys, 1, 1_000_000)
	c.validateAlgorithm(report)
	if c.OnStoreFailure != "" {
		exchange.OneOf(report, "onStoreFailure", c.OnStoreFailure, Local, Allow, Deny)
		if c.Store == "" {
			report("onStoreFailure", "must not be there without a store")
		}
	}
	for i, key := range c.Key {
		validateKey(report, fmt.Sprintf("key[%d]", i), key)
	}
}

// validateAlgorithm reports keys that the algorithm has no use for.
func (c *Config) validateAlgorithm(report exchange.Report) {
	if c.Algorithm == SlidingWindow && c.Burst != 0 {
		report("burst", "must not be there for slidingWindow: the number in rate is all that passes")
	}
	if c.MaxWait != 0 {
		exchange.Between(report, "maxWait", c.MaxWait, time.Millisecond, 30*time.Second)
	}
	if c.MaxWaiting != 0 {
		exchange.Range(report, "maxWaiting", c.MaxWaiting, 1, 100_000)
	}
	if c.Algorithm == LeakyBucket {
		return
	}
	if c.MaxWait != 0 {
		report("maxWait", "must not be there but for leakyBucket: no request waits")
	}
	if c.MaxWaiting != 0 {
		report("maxWaiting", "must not be there but for leakyBucket: no request waits")
	}
}

func validateKey(report exchange.Report, field, key string) {
	kind, name, named := strings.Cut(key, ":")
	switch {
	case !named && (kind == "principal" || kind == "ip" || kind == "route"):
	case named && name != "" && kind == "claim":
	case named && kind == "header":
		exchange.HeaderName(report, field, name)
	default:
		report(field, fmt.Sprintf("must be claim:NAME, principal, ip, header:NAME or route, got %q", key))
	}
}

// ValidateService reports what c cannot have where its store is a service that
// has limits of its own.
func (c *Config) ValidateService(report exchange.Report) {
	if c.Algorithm != TokenBucket {
		report("algorithm", fmt.Sprintf("must not be %s where the store is a rate limit service, which has its own", c.Algorithm))
	}
	if c.Rate.Count == 0 && c.onStoreFailure() == Local {
		report("", "must have a rate, such as 50/s: this process counts by it while the store cannot be asked; or say onStoreFailure: allow or deny")
	}
}

// ValidateShared reports what c lacks where its store only counts.
func (c *Config) ValidateShared(report exchange.Report) {
	if c.Rate.Count == 0 {
		report("", "must have a rate, such as 50/s")
	}
}

// burst returns how many may pass at once.
func (c *Config) burst() int {
	switch {
	case c.Burst > 0:
		return c.Burst
	case c.Algorithm == LeakyBucket:
		return 1
	}
	return c.Rate.Count
}

// maxWait returns how long a request may wait for its turn.
func (c *Config) maxWait() time.Duration {
	if c.Algorithm == LeakyBucket && c.MaxWait == 0 {
		return usualWait
	}
	return c.MaxWait
}

// maxWaiting returns how many requests may wait at once.
func (c *Config) maxWaiting() int {
	if c.MaxWaiting == 0 {
		return usualWaiting
	}
	return c.MaxWaiting
}

func (c *Config) onStoreFailure() string {
	if c.OnStoreFailure == "" {
		return Local
	}
	return c.OnStoreFailure
}

// local reports whether this process ever counts by itself.
func (c *Config) local() bool { return c.Store == "" || c.onStoreFailure() == Local }
