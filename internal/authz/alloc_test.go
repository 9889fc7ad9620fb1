//go:build !race

package authz

import (
	"crypto"
	"net/http"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"sidecar/internal/exchange"
)

// The race detector makes pools forget.
func TestATokenThatIsNewCostsLittleMemory(t *testing.T) {
	a := authn(t, publicPEM(rsaKey()), func(c *AuthnConfig) { byPublicKey(c); c.ForwardClaims = map[string]string{"X-User": "subject"} })
	token := sign(jwt.SigningMethodRS256, rsaKey(), claims(map[string]any{"roles": []string{"reader"}, "jti": "1"}), nil)
	const most = 26
	got := testing.AllocsPerRun(100, func() {
		if _, why := a.verify(t.Context(), token); why != nil {
			t.Fatal(why.detail)
		}
	})
	if got > most {
		t.Errorf("%v allocations, want at most %d", got, most)
	}
}

// A key of up to 2048 bits has room for its numbers on the stack.
func TestASignatureThatIsVerifiedCostsLittleMemory(t *testing.T) {
	s := signerOf(2048, 65537)
	signature := s.sign(encoded(s.size, crypto.SHA256, sumOf(crypto.SHA256, "a text")))
	var last error
	got := testing.AllocsPerRun(100, func() { last = s.ready.verify(crypto.SHA256, "a text", signature) })
	if got > 1 || last != nil { // what the signature holds
		t.Errorf("%v allocations, %v; want at most 1, and nil", got, last)
	}
}

func TestAnExchangeWithARememberedTokenCostsNoMemory(t *testing.T) {
	with := func(change func(c *AuthnConfig)) AuthnConfig {
		var c AuthnConfig
		c.SetDefaults()
		c.Issuers = []IssuerConfig{{Issuer: alice, SecretFile: "key"}}
		change(&c)
		return c
	}
	fetched := NewKeySet(KeySetConfig{Issuer: alice, JWKS: JWKSConfig{Refresh: time.Hour}}, &idp{}, nil, nil)
	fetched.seen.Store(&seenKeys{keys: keys{list: []key{{material: []byte(aSecret)}}}, at: time.Now()})
	for name, c := range map[string]AuthnConfig{
		"nothing is forwarded": with(func(*AuthnConfig) {}),
		"claims for a token": with(func(c *AuthnConfig) {
			c.ForwardToken, c.ForwardClaims = false, map[string]string{"X-User": "subject", "X-Roles": "roles"}
		}),
		"API keys are accepted too": with(func(c *AuthnConfig) {
			c.APIKeys = &APIKeysConfig{Header: "X-API-Key", File: "keys"}
		}),
		"nobody is kept waiting": with(func(c *AuthnConfig) { c.Mode = exchange.ModeShadow }),
		"keys that are fetched": with(func(c *AuthnConfig) {
			c.Issuers[0] = IssuerConfig{Issuer: alice, JWKSURL: "https://id.example.com/keys", Algorithms: []string{"HS256"}}
		}),
	} {
		t.Run(name, func(t *testing.T) {
			a, err := NewAuthn("users", c, files{"key": aSecret, "keys": aKeyFile}.read, keeper{keySet: func(KeySetConfig) *KeySet { return fetched }})
			if err != nil {
				t.Fatal(err)
			}
			carrier := &exchange.Carrier{Context: t.Context()}
			r := (&http.Request{Header: http.Header{"Authorization": {"Bearer " + hs256(claims(nil))}}}).WithContext(carrier)
			var last error
			got := testing.AllocsPerRun(100, func() {
				carrier.Record = exchange.Record{}
				last = a.Check(r)
			})
			if got != 0 || last != nil || carrier.Record.Principal() == nil {
				t.Errorf("%v allocations, %v, principal %v; want none, nil and one", got, last, carrier.Record.Principal())
			}
		})
	}
}
