package authz

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/url"
	"time"

	"sidecar/internal/exchange"
)

// IntrospectionConfig is how an issuer is asked about a token (RFC 7662). Only
// an answer that says "active": true passes; what else it says is the token's
// claims. While the issuer cannot be asked, a token that was not asked about
// lately is answered with 503, since it may be good. Where authn is in shadow no
// request waits: a token's first one counts as one that could not be judged.
type IntrospectionConfig struct {
	// URL is the issuer's introspection_endpoint: https, or http to this
	// machine. It is called without a proxy, and a redirect is not followed.
	URL string `yaml:"url"`
	// ClientID is who we are to the issuer.
	ClientID string `yaml:"clientID"`
	// ClientSecretFile holds the secret that goes with ClientID; trailing line
	// ends are not part of it. Both are sent as HTTP Basic (RFC 6749 section
	// 2.3.1).
	ClientSecretFile string `yaml:"clientSecretFile" file:"secret"`

	// CacheFor is how long an answer is gone by, at most until the token
	// expires: a token that is revoked is accepted for so long. That one is
	// not active is remembered for 5s. 0 to 10m; default 30s.
	CacheFor time.Duration `yaml:"cacheFor"`
	// Timeout is how long a request waits for the answer, the wait for a free
	// call included. 50ms to 30s; default 2s.
	Timeout time.Duration `yaml:"timeout"`
	// MaxConcurrent is how many calls are under way at most. Requests with the
	// same token share one. 1 to 1024; default 64.
	MaxConcurrent int `yaml:"maxConcurrent"`
}

// SetDefaults fills c with what is not said.
func (c *IntrospectionConfig) SetDefaults() {
	*c = IntrospectionConfig{CacheFor: 30 * time.Second, Timeout: 2 * time.Second, MaxConcurrent: 64}
}

// Validate reports every problem with c.
func (c *IntrospectionConfig) Validate(report exchange.Report) {
	if problem := exchange.SecureURL(c.URL); problem != "" {
		report("url", problem)
	}
	if c.ClientID == "" {
		report("clientID", "must say who asks")
	}
	if c.ClientSecretFile == "" {
		report("clientSecretFile", "must name the file with the client's secret")
	}
	exchange.Between(report, "cacheFor", c.CacheFor, 0, 10*time.Minute)
	exchange.Between(report, "timeout", c.Timeout, 50*time.Millisecond, 30*time.Second)
	exchange.Range(report, "maxConcurrent", c.MaxConcurrent, 1, 1024)
}

// secret reads what ClientSecretFile holds.
func (c *IntrospectionConfig) secret(read func(path string) ([]byte, error)) (string, error) {
	data, err := read(c.ClientSecretFile)
	if err != nil {
		return "", err
	}
	secret := string(exchange.TrimSecret(data))
	if secret == "" {
		return "", errors.New("holds no secret")
	}
	return secret, nil
}

// IntrospectorConfig is all that makes one Introspector another than the next.
type IntrospectorConfig struct {
	Issuer        string
	Introspection IntrospectionConfig
	SecretHash    string // of the client's secret

	basic string // the Authorization that is sent
}

// introspector returns the config of who is asked about tokens of c.
func (c IssuerConfig) introspector(secret string) IntrospectorConfig {
	in := *c.Introspection
	hash := sha256.Sum256([]byte(secret))
	// Encoded as in a form first, so that a colon ends nothing.
	user := url.QueryEscape(in.ClientID) + ":" + url.QueryEscape(secret)
	return IntrospectorConfig{
		Issuer: c.Issuer, Introspection: in, SecretHash: hex.EncodeToString(hash[:]),
		basic: "Basic " + base64.StdEncoding.EncodeToString([]byte(user)),
	}
}
