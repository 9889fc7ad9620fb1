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

// SetDefaults fills c with what is not said.
func (c *AuthnConfig) SetDefaults() {
	*c = AuthnConfig{Line: c.Line, ClockSkew: 30 * time.Second, ForwardToken: true}
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

func join(field, sub string) string {
	if sub == "" {
		return field
	}
	return field + "." + sub
}
