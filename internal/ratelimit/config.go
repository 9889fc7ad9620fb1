package ratelimit

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"sidecar/internal/exchange"
)

// Config is a rateLimit policy. It is one set of buckets, shared by all routes
// that use it.
type Config struct {
	Line int `yaml:"-"`

	// Mode is enforce, the default; shadow: the policy says what it would do,
	// and does nothing; or disabled: it is not asked.
	Mode exchange.Mode `yaml:"mode,omitempty"`

	// Algorithm is tokenBucket, the default: Burst requests at once, then one
	// each time Rate allows.
	Algorithm string `yaml:"algorithm"`

	// Rate is how many requests pass in the long run: 50/s, 100/m or 1000/h.
	Rate Rate `yaml:"rate"`

	// Burst is how many may pass at once. Default, and 0: the number in Rate.
	Burst int `yaml:"burst,omitempty"`

	// Key is whose bucket a request draws from: the first of these that the
	// request has. claim:NAME, principal, ip (IPv6 by /64), header:NAME,
	// route. None of them there: one shared bucket named none. Empty: one
	// bucket for all.
	Key []string `yaml:"key,omitempty"`

	// MaxKeys bounds how many buckets are kept; beyond it the least used is
	// forgotten. 1 to 1000000; default 10000.
	MaxKeys int `yaml:"maxKeys"`
}

// TokenBucket is the algorithm there is.
const TokenBucket = "tokenBucket"

// SetDefaults fills c with what is not said.
func (c *Config) SetDefaults() { *c = Config{Line: c.Line, Algorithm: TokenBucket, MaxKeys: 10000} }

// Validate reports every problem with c.
func (c *Config) Validate(report exchange.Report) {
	exchange.OneOf(report, "algorithm", c.Algorithm, TokenBucket)
	if c.Rate.Count == 0 {
		report("rate", "must be said, such as 50/s")
	}
	exchange.Range(report, "burst", c.Burst, 0, 1_000_000)
	exchange.Range(report, "maxKeys", c.MaxKeys, 1, 1_000_000)
	for i, key := range c.Key {
		kind, name, named := strings.Cut(key, ":")
		switch {
		case !named && (kind == "principal" || kind == "ip" || kind == "route"):
		case named && name != "" && kind == "claim":
		case named && kind == "header":
			exchange.HeaderName(report, fmt.Sprintf("key[%d]", i), name)
		default:
			report(fmt.Sprintf("key[%d]", i),
				fmt.Sprintf("must be claim:NAME, principal, ip, header:NAME or route, got %q", key))
		}
	}
}

// burst returns how many may pass at once.
func (c *Config) burst() int {
	if c.Burst > 0 {
		return c.Burst
	}
	return c.Rate.Count
}

// Rate is so many in a second, a minute or an hour, written 50/s, 100/m, 1000/h.
type Rate struct {
	Count int
	Per   time.Duration
}

var ratePer = map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}

// UnmarshalText reads N/s, N/m or N/h; N is 1 to 1000000.
func (r *Rate) UnmarshalText(text []byte) error {
	count, unit, _ := strings.Cut(string(text), "/")
	n, err := strconv.Atoi(count)
	per, ok := ratePer[unit]
	if err != nil || !ok || n < 1 || n > 1_000_000 {
		return fmt.Errorf("must be a rate such as 50/s, 100/m or 1000/h, of 1 to 1000000, got %q", text)
	}
	*r = Rate{n, per}
	return nil
}

// MarshalText writes r as UnmarshalText reads it.
func (r Rate) MarshalText() ([]byte, error) {
	for unit, per := range ratePer {
		if r.Per == per {
			return fmt.Appendf(nil, "%d/%s", r.Count, unit), nil
		}
	}
	return nil, fmt.Errorf("rate per %v has no unit", r.Per)
}

// interval returns the time in which one more request may pass.
func (r Rate) interval() time.Duration { return r.Per / time.Duration(r.Count) }
