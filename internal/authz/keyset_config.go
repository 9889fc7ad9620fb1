package authz

import (
	"time"

	"sidecar/internal/exchange"
)

// JWKSConfig is how keys that are fetched are kept. They are fetched in the
// background; only a request whose key is not there waits for them, for 3s at
// most. While there are none at all, tokens of the issuer are answered with
// 503, since they may be good.
type JWKSConfig struct {
	// Refresh is how old the keys may get. They are fetched anew a little
	// earlier, after 80 to 90 percent of it, so that replicas do not all come
	// at once; a fetch that failed is repeated after a second, then after two,
	// and so on to half a minute. 10s to 24h; default 10m.
	Refresh time.Duration `yaml:"refresh"`

	// UnknownKidCooldown is how often at most a token whose kid is not among
	// the keys has them fetched at once, since the issuer may have a new one.
	// 1s to 1h; default 30s.
	UnknownKidCooldown time.Duration `yaml:"unknownKidCooldown"`

	// StaleIfError is how long keys that are older than Refresh are still
	// believed while no newer ones can be had (the word is that of RFC 5861).
	// After that no token of the issuer can be judged. 0 to 168h; default 24h.
	StaleIfError time.Duration `yaml:"staleIfError"`
}

// SetDefaults fills c with what is not said.
func (c *JWKSConfig) SetDefaults() {
	*c = JWKSConfig{Refresh: 10 * time.Minute, UnknownKidCooldown: 30 * time.Second, StaleIfError: 24 * time.Hour}
}

// Validate reports every problem with c.
func (c *JWKSConfig) Validate(report exchange.Report) {
	exchange.Between(report, "refresh", c.Refresh, 10*time.Second, 24*time.Hour)
	exchange.Between(report, "unknownKidCooldown", c.UnknownKidCooldown, time.Second, time.Hour)
	exchange.Between(report, "staleIfError", c.StaleIfError, 0, 7*24*time.Hour)
}

// KeySetConfig is all that makes one KeySet another than the next.
type KeySetConfig struct {
	Issuer     string
	URL        string   // empty: the issuer's metadata tell it
	Algorithms []string // a key for none of them is not kept
	JWKS       JWKSConfig
}

// keySet returns the config of the keys at c.JWKSURL, or of those that are
// discovered.
func (c IssuerConfig) keySet() KeySetConfig {
	k := KeySetConfig{Issuer: c.Issuer, URL: c.JWKSURL, Algorithms: c.algorithms()}
	if k.JWKS.SetDefaults(); c.JWKS != nil {
		k.JWKS = *c.JWKS
	}
	return k
}
