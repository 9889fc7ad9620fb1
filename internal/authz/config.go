package authz

import (
	"fmt"
	"strings"
	"time"

	"sidecar/internal/exchange"
)

// AuthnConfig is an authn policy: whose tokens are believed.
type AuthnConfig struct {
	Line int `yaml:"-"`

	// Mode is enforce, the default; shadow: the policy says what it would do,
	// and does nothing; or disabled: it is not asked.
	Mode exchange.Mode `yaml:"mode,omitempty"`

	// Issuers are those whose tokens are believed. At least one.
	Issuers []IssuerConfig `yaml:"issuers"`

	// ClockSkew is how far the issuer's clock may be from ours. 0 to 60s
	// (RFC 8725 asks for no more); default 30s.
	ClockSkew time.Duration `yaml:"clockSkew"`

	// Claims maps names of our own to paths of claims (a.b.c). subject and
	// roles have a meaning for authz, rateLimit and the log; they default to
	// sub and roles.
	Claims map[string]string `yaml:"claims,omitempty"`

	// ForwardClaims maps header fields to names or paths of claims, whose
	// values are sent upstream. The client's own copies never get there.
	ForwardClaims map[string]string `yaml:"forwardClaims,omitempty"`

	// ForwardToken says whether Authorization reaches the upstream.
	// Default true.
	ForwardToken bool `yaml:"forwardToken"`
}

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

// SetDefaults fills c with what is not said.
func (c *AuthnConfig) SetDefaults() {
	*c = AuthnConfig{Line: c.Line, ClockSkew: 30 * time.Second, ForwardToken: true}
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

// Validate reports every problem with c.
func (c *AuthnConfig) Validate(report exchange.Report) {
	exchange.Between(report, "clockSkew", c.ClockSkew, 0, time.Minute)
	if len(c.Issuers) == 0 {
		report("issuers", "must name at least one issuer")
	}
	seen := map[string]int{}
	for i, issuer := range c.Issuers {
		field := fmt.Sprintf("issuers[%d]", i)
		issuer.validate(func(f, problem string) { report(join(field, f), problem) })
		if first, ok := seen[issuer.Issuer]; ok && issuer.Issuer != "" {
			report(field+".issuer", fmt.Sprintf("is that of issuers[%d] already: %q", first, issuer.Issuer))
		}
		seen[issuer.Issuer] = i
	}
	for name, path := range c.Claims {
		if path == "" {
			report("claims."+name, "must be the path of a claim, got an empty one")
		}
	}
	for header, claim := range c.ForwardClaims {
		field := "forwardClaims." + header
		exchange.HeaderName(report, field, header)
		if claim == "" {
			report(field, "must be the name or path of a claim, got an empty one")
		}
		if strings.EqualFold(header, "Authorization") || strings.EqualFold(header, "Host") {
			report(field, "cannot be set from a claim")
		}
	}
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

// The effects of a rule, and of none.
const (
	Allow = "allow"
	Deny  = "deny"
)

// Config is an authz policy: who may do what. A deny rule that matches wins,
// then an allow rule, then Default.
type Config struct {
	Line int `yaml:"-"`

	// Mode is enforce, the default; shadow: the policy says what it would do,
	// and does nothing; or disabled: it is not asked.
	Mode exchange.Mode `yaml:"mode,omitempty"`

	// Default is what holds when no rule matches: deny, the default, or allow.
	Default string `yaml:"default"`

	Rules []RuleConfig `yaml:"rules,omitempty"`
}

// RuleConfig is one rule.
type RuleConfig struct {
	Line int `yaml:"-"`

	// Name stands in decisions. Default: rule-1 for the first rule, and so on.
	Name string `yaml:"name,omitempty"`
	// Effect is allow or deny.
	Effect string `yaml:"effect"`
	// When is what must hold for the rule to match: every key that is there.
	// A rule without it always matches.
	When When `yaml:"when,omitempty"`
}

// When is a conjunction: every key that is there must hold.
type When struct {
	// Roles: the principal has one of them.
	Roles []string `yaml:"roles,omitempty"`
	// Methods: the request has one of them.
	Methods []string `yaml:"methods,omitempty"`
	// Paths: the decoded path matches one of them. * stands for one segment
	// or a part of one, ** for any number of segments.
	Paths []string `yaml:"paths,omitempty"`
	// Claims: each claim, by name or path, has the value, or has it among its
	// values.
	Claims map[string]string `yaml:"claims,omitempty"`
	// Principals: the subject matches one of them. * stands for any run of
	// characters.
	Principals []string `yaml:"principals,omitempty"`
}

// SetDefaults fills c with what is not said.
func (c *Config) SetDefaults() { *c = Config{Line: c.Line, Default: Deny} }

// Validate reports every problem with c.
func (c *Config) Validate(report exchange.Report) {
	exchange.OneOf(report, "default", c.Default, Allow, Deny)
	seen := map[string]int{}
	for i, rule := range c.Rules {
		field := fmt.Sprintf("rules[%d]", i)
		exchange.OneOf(report, field+".effect", rule.Effect, Allow, Deny)
		exchange.Methods(report, field+".when.methods", rule.When.Methods)
		for j, path := range rule.When.Paths {
			if !strings.HasPrefix(path, "/") {
				report(fmt.Sprintf("%s.when.paths[%d]", field, j), fmt.Sprintf("must begin with /, got %q", path))
			}
		}
		if first, ok := seen[rule.Name]; ok && rule.Name != "" {
			report(field+".name", fmt.Sprintf("is that of rules[%d] already: %q", first, rule.Name))
		}
		seen[rule.Name] = i
	}
}

func join(field, sub string) string {
	if sub == "" {
		return field
	}
	return field + "." + sub
}
