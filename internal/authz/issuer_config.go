package authz

import (
	"fmt"

	"sidecar/internal/exchange"
)

// IssuerConfig is one issuer of tokens and where its keys are: exactly one of
// SecretFile, PublicKeyFile, JWKSFile and JWKSURL.
type IssuerConfig struct {
	Line int `yaml:"-"`

	// Issuer is what the iss claim must say.
	Issuer string `yaml:"issuer"`

	// SecretFile holds the shared secret of HS256 and its kin; trailing line
	// ends are not part of it. At least 32 bytes (RFC 7518 section 3.2).
	SecretFile string `yaml:"secretFile,omitempty" file:"read"`
	// PublicKeyFile holds one public key, or a certificate, as PEM.
	PublicKeyFile string `yaml:"publicKeyFile,omitempty" file:"read"`
	// JWKSFile holds a JSON Web Key Set (RFC 7517).
	JWKSFile string `yaml:"jwksFile,omitempty" file:"read"`
	// JWKSURL is where the issuer publishes its JSON Web Key Set, the jwks_uri
	// of its metadata (RFC 8414): https, or http to this machine. It is
	// fetched without a proxy, and a redirect is not followed.
	JWKSURL string `yaml:"jwksURL,omitempty"`
	// JWKS is how the keys at JWKSURL are kept; it has a meaning only with
	// that.
	JWKS *JWKSConfig `yaml:"jwks,omitempty"`

	// Audiences are those of which the aud claim must name one. Empty: the
	// aud claim is not looked at.
	Audiences []string `yaml:"audiences,omitempty"`

	// Algorithms are the signature algorithms that are accepted. Default:
	// HS256 with secretFile, RS256 and ES256 otherwise. HS256 and its kin
	// never stand beside the others.
	Algorithms []string `yaml:"algorithms,omitempty"`
}

// The algorithms we verify.
var (
	symmetric  = []string{"HS256", "HS384", "HS512"}
	asymmetric = []string{
		"RS256", "RS384", "RS512", "PS256", "PS384", "PS512",
		"ES256", "ES384", "ES512", "EdDSA",
	}
)

// algorithms returns those that are accepted.
func (c IssuerConfig) algorithms() []string {
	switch {
	case len(c.Algorithms) > 0:
		return c.Algorithms
	case c.SecretFile != "":
		return []string{"HS256"}
	}
	return []string{"RS256", "ES256"}
}

func (c IssuerConfig) validate(report exchange.Report) {
	if c.Issuer == "" {
		report("issuer", "must say what the iss claim says")
	}
	sources := 0
	for _, source := range []string{c.SecretFile, c.PublicKeyFile, c.JWKSFile, c.JWKSURL} {
		if source != "" {
			sources++
		}
	}
	if sources != 1 {
		report("", fmt.Sprintf("must have exactly one of secretFile, publicKeyFile, jwksFile and jwksURL, got %d", sources))
		return
	}
	if c.JWKSURL != "" {
		if problem := checkJWKSURL(c.JWKSURL); problem != "" {
			report("jwksURL", problem)
		}
	} else if c.JWKS != nil {
		report("jwks", "has a meaning only with jwksURL")
	}
	accepted, with := asymmetric, "a public key"
	if c.SecretFile != "" {
		accepted, with = symmetric, "secretFile"
	}
	for i, alg := range c.Algorithms {
		known := false
		for _, a := range accepted {
			known = known || a == alg
		}
		if !known {
			report(fmt.Sprintf("algorithms[%d]", i), fmt.Sprintf("must be one of %v with %s, got %q", accepted, with, alg))
		}
	}
}
