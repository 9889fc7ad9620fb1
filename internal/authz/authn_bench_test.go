package authz

import (
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// BenchmarkAuthn is what a token costs the first time (miss), and from then on
// (hit). A hit of a public key is to cost less than a fiftieth of a miss.
func BenchmarkAuthn(b *testing.B) {
	only := func(alg string) func(c *AuthnConfig) {
		return func(c *AuthnConfig) { byPublicKey(c); c.Issuers[0].Algorithms = []string{alg} }
	}
	long := claims(map[string]any{"exp": time.Now().Add(time.Hour).Unix()})
	cases := []struct {
		name  string
		authn *Authn
		token string
	}{
		{"hs256", authn(b, aSecret, bySecret), hs256(long)},
		{"rs256", authn(b, publicPEM(rsaKey()), only("RS256")), sign(jwt.SigningMethodRS256, rsaKey(), long, nil)},
		{"es256", authn(b, publicPEM(ecKey()), only("ES256")), sign(jwt.SigningMethodES256, ecKey(), long, nil)},
		{"eddsa", authn(b, publicPEM(edKey()), only("EdDSA")), sign(jwt.SigningMethodEdDSA, edKey(), long, nil)},
	}
	for _, bc := range cases {
		r, _ := request("/", "Bearer "+bc.token)
		b.Run(bc.name+"/miss", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, why := bc.authn.verify(r.Context(), bc.token); why != nil {
					b.Fatal(why.detail)
				}
			}
		})
		b.Run(bc.name+"/hit", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, why := bc.authn.authenticate(r.Context(), r.Header["Authorization"]); why != nil {
					b.Fatal(why.detail)
				}
			}
		})
	}
}
