package authz

import (
	"fmt"

	"sidecar/internal/exchange"
)

// IssuerConfig is one issuer of tokens and how they are verified: by exactly
// one of SecretFile, PublicKeyFile, JWKSFile, JWKSURL and Introspection. With
// none of them Issuer is a URL, https or http to this machine, under which the
// issuer's metadata tell where its keys are: at
// /.well-known/openid-configuration (OpenID Connect Discovery), else at
// /.well-known/oauth-authorization-server (RFC 8414). They are read before each
// time that keys are fetched, and must name the issuer exactly as it stands
// here; the keys are kept as those at a JWKSURL.
type IssuerConfig struct {
	Line int `yaml:"-"`

	// Issuer is what the iss claim must say; with Introspection, if there is
	// one in the answer.
	Issuer string `yaml:"issuer"`

	// SecretFile holds the shared secret of HS256 and its kin; trailing line
	// ends are not part of it. At least 32 bytes (RFC 7518 section 3.2).
	SecretFile string `yaml:"secretFile,omitempty" file:"secret"`
	// PublicKeyFile holds one public key, or a certificate, as PEM.
	PublicKeyFile string `yaml:"publicKeyFile,omitempty" file:"read"`
	// JWKSFile holds a JSON Web Key Set (RFC 7517).
	JWKSFile string `yaml:"jwksFile,omitempty" file:"read"`
	// JWKSURL is where the issuer publishes its JSON Web Key Set, the jwks_uri
	// of its metadata (RFC 8414): https, or http to this machine. It is
	// fetched without a proxy, and a redirect is not followed.
	JWKSURL string `yaml:"jwksURL,omitempty"`
	// JWKS is how keys that are fetched are kept: those at JWKSURL, or those
	// that the metadata tell of. It has a meaning only with them.
	JWKS *JWKSConfig `yaml:"jwks,omitempty"`
	// Introspection has the issuer asked about each token (RFC 7662), as those
	// who give out opaque tokens demand. At most one issuer of a policy has
	// it: it is asked about every token that is no JWT of another.
	Introspection *IntrospectionConfig `yaml:"introspection,omitempty"`

	// Audiences are those of which the aud claim must name one. Empty: the
	// aud claim is not looked at, and tokens that the issuer made for other
	// services are accepted.
	Audiences []string `yaml:"audiences,omitempty"`

	// Algorithms are the signature algorithms that are accepted. Default:
	// HS256 with secretFile, RS256 and ES256 otherwise. HS256 and its kin
	// never stand beside the others.
	Algorithms []string `yaml:"algorithms,omitempty"`

	// Types are those of which a token's typ header must be one, such as
	// at+jwt for access tokens alone (RFC 9068, RFC 8725 section 3.11). Case
	// and a leading application/ make no difference. Empty: typ is not looked
	// at.
	Types []string `yaml:"types,omitempty"`
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

// fetched reports whether the keys come over the network.
func (c IssuerConfig) fetched() bool { return c.JWKSURL != "" || c.discovered() }

// discovered reports whether nothing but the issuer's name tells where its
// keys are.
func (c IssuerConfig) discovered() bool { return c.sources() == 0 }

func (c IssuerConfig) sources() (n int) {
	for _, source := range []string{c.SecretFile, c.PublicKeyFile, c.JWKSFile, c.JWKSURL} {
		if source != "" {
			n++
		}
	}
	if c.Introspection != nil {
		n++
	}
	return n
}

func (c IssuerConfig) validate(report exchange.Report) {
	if c.Issuer == "" {
		report("issuer", "must say what the iss claim says")
	}
	switch n := c.sources(); {
	case n > 1:
		report("", fmt.Sprintf("must have exactly one of secretFile, publicKeyFile, jwksFile, jwksURL and introspection, got %d", n))
		return
	case n == 0 && checkIssuerURL(c.Issuer) != "":
		report("", "must have exactly one of secretFile, publicKeyFile, jwksFile, jwksURL and introspection, got 0; "+
			"without, issuer "+checkIssuerURL(c.Issuer))
		return
	}
	if c.JWKSURL != "" {
		if problem := exchange.SecureURL(c.JWKSURL); problem != "" {
			report("jwksURL", problem)
		}
	}
	if c.JWKS != nil && !c.fetched() {
		report("jwks", "has a meaning only with jwksURL, or where keys are discovered")
	}
	for i, t := range c.Types {
		if mediaType(t) == "" {
			report(fmt.Sprintf("types[%d]", i), fmt.Sprintf("must be what the typ header says, such as at+jwt, got %q", t))
		}
	}
	if c.Introspection != nil {
		c.validateOpaque(report)
		return
	}
	c.validateAlgorithms(report)
}

// validateOpaque reports what has a meaning only for JWTs.
func (c IssuerConfig) validateOpaque(report exchange.Report) {
	if len(c.Algorithms) > 0 {
		report("algorithms", "has no meaning with introspection")
	}
	if len(c.Types) > 0 {
		report("types", "has no meaning with introspection")
	}
}

func (c IssuerConfig) validateAlgorithms(report exchange.Report) {
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
