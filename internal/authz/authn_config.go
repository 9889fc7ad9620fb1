package authz

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"sidecar/internal/exchange"
)

// AuthnConfig is an authn policy: whose credentials are believed. There are
// tokens, API keys and client certificates; each names who sends the request.
type AuthnConfig struct {
	Line int `yaml:"-"`

	// Mode is enforce, the default; shadow: the policy says what it would do,
	// and does nothing; or disabled: it is not asked.
	Mode exchange.Mode `yaml:"mode,omitempty"`

	// Issuers are those whose tokens are believed.
	Issuers []IssuerConfig `yaml:"issuers,omitempty"`

	// APIKeys lets a key in a header field of its own stand for a token.
	APIKeys *APIKeysConfig `yaml:"apiKeys,omitempty"`

	// ClientCertificates says whether the client's certificate stands for a
	// token, if the TLS handshake has verified it: the subject is its URI
	// (spiffe://...), of which it must have no more than one, else its first
	// DNS name, else its common name, neither of which may have a colon, as
	// URIs have. It has no roles; rules go by principals.
	// Default false.
	ClientCertificates bool `yaml:"clientCertificates,omitempty"`

	// Order is that in which credentials are looked for. The first that a
	// request shows decides: if it is bad, no other makes up for it. Default:
	// token, apiKey, clientCertificate.
	Order []string `yaml:"order,omitempty"`

	// Optional lets a request pass that shows no credential: it has no
	// principal, so no rule that asks for one matches. A bad credential is
	// refused all the same. Default false.
	Optional bool `yaml:"optional,omitempty"`

	// ClockSkew is how far the issuer's clock may be from ours. 0 to 60s
	// (RFC 8725 asks for no more); default 30s.
	ClockSkew time.Duration `yaml:"clockSkew"`

	// Claims maps names of our own to paths of a token's claims (a.b.c).
	// subject and roles have a meaning for authz, rateLimit and the log; they
	// default to sub and roles.
	Claims map[string]string `yaml:"claims,omitempty"`

	// ForwardClaims maps header fields to names or paths of claims, whose
	// values are sent upstream. The client's own copies never get there.
	ForwardClaims map[string]string `yaml:"forwardClaims,omitempty"`

	// ForwardToken says whether Authorization reaches the upstream. Where the
	// policy has issuers, a token that nobody has verified, since another
	// credential decided, never does; without, tokens are the upstream's own
	// business. Default true.
	ForwardToken bool `yaml:"forwardToken"`
}

// APIKeysConfig is the file of API keys that are believed, and where a request
// shows one.
type APIKeysConfig struct {
	Line int `yaml:"-"`

	// Header is the field that holds the key. Default X-API-Key. Its value is
	// never logged.
	Header string `yaml:"header"`

	// File lists the keys, a JSON object a line: name; hash, which is sha256:
	// and the base64url of the key's SHA-256; and perhaps roles, a list, and
	// claims, an object, which go by the names in authn.claims rather than
	// their paths. `sidecar apikey` makes such a line. Several lines may have
	// one name, each for a key of its own. Keys have 32 to 256 bytes.
	File string `yaml:"file" file:"read"`

	// Forward says whether the upstream sees the field, with a key that is
	// good. Default false.
	Forward bool `yaml:"forward,omitempty"`
}

// SetDefaults fills c with what is not said.
func (c *APIKeysConfig) SetDefaults() { *c = APIKeysConfig{Line: c.Line, Header: "X-API-Key"} }

// SetDefaults fills c with what is not said.
func (c *AuthnConfig) SetDefaults() {
	*c = AuthnConfig{Line: c.Line, ClockSkew: 30 * time.Second, ForwardToken: true}
}

// Validate reports every problem with c.
func (c *AuthnConfig) Validate(report exchange.Report) {
	exchange.Between(report, "clockSkew", c.ClockSkew, 0, time.Minute)
	if len(c.configured()) == 0 {
		report("", "must accept a credential: issuers, apiKeys or clientCertificates")
	}
	c.validateAPIKeys(report)
	c.validateOrder(report)
	seen, asked := map[string]int{}, 0
	for i, issuer := range c.Issuers {
		field := fmt.Sprintf("issuers[%d]", i)
		issuer.validate(func(f, problem string) { report(join(field, f), problem) })
		if issuer.Introspection != nil {
			// It may be called as one whose JWTs are verified by keys.
			if asked++; asked > 1 {
				report(field+".introspection", "must stand at one issuer of the policy: an opaque token does not say whose it is")
			}
			continue
		}
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
		if name := http.CanonicalHeaderKey(header); name == "Authorization" || slices.Contains(ofMessage, name) {
			report(field, "cannot be set from a claim")
		}
	}
}

func (c *AuthnConfig) validateAPIKeys(report exchange.Report) {
	if c.APIKeys == nil {
		return
	}
	const field = "apiKeys.header"
	header := c.APIKeys.Header
	exchange.HeaderName(report, field, header)
	if name := http.CanonicalHeaderKey(header); name == "Authorization" || name == "Cookie" || slices.Contains(ofMessage, name) {
		report(field, fmt.Sprintf("must be a field of its own such as X-API-Key, got %q", header))
	}
	for name := range c.ForwardClaims {
		if strings.EqualFold(header, name) {
			report("forwardClaims."+name, "is where apiKeys are shown")
		}
	}
	if c.APIKeys.File == "" {
		report("apiKeys.file", "must name the file that lists the keys")
	}
}

func (c *AuthnConfig) validateOrder(report exchange.Report) {
	if len(c.Order) == 0 {
		return
	}
	for i, word := range c.Order {
		field := fmt.Sprintf("order[%d]", i)
		exchange.OneOf(report, field, word, defaultOrder...)
		if slices.Contains(c.Order[:i], word) {
			report(field, fmt.Sprintf("is there already: %q", word))
		}
	}
	for _, word := range c.configured() {
		if !slices.Contains(c.Order, word) {
			report("order", fmt.Sprintf("must name %s, which the policy accepts", word))
		}
	}
}

func join(field, sub string) string {
	if sub == "" {
		return field
	}
	return field + "." + sub
}
