package authz

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"sidecar/internal/exchange"
)

func block(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func TestKeyFilesThatAreBelieved(t *testing.T) {
	template := &x509.Certificate{SerialNumber: big.NewInt(1)} // long expired: only its key counts
	cert := must(x509.CreateCertificate(rand.Reader, template, template, ecKey().Public(), ecKey()))
	rs := sign(jwt.SigningMethodRS256, rsaKey(), claims(nil), nil)
	es := sign(jwt.SigningMethodES256, ecKey(), claims(nil), nil)
	ed := func(c *AuthnConfig) { byPublicKey(c); c.Issuers[0].Algorithms = []string{"EdDSA"} }
	ps := func(c *AuthnConfig) { byPublicKey(c); c.Issuers[0].Algorithms = []string{"PS256"} }
	tests := []struct {
		name  string
		file  string
		with  func(c *AuthnConfig)
		token string
	}{
		{"PKIX, RSA", publicPEM(rsaKey()), byPublicKey, rs},
		{"PKIX, EC", publicPEM(ecKey()), byPublicKey, es},
		{"PKIX, Ed25519", publicPEM(edKey()), ed, sign(jwt.SigningMethodEdDSA, edKey(), claims(nil), nil)},
		{"PKCS #1", block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&rsaKey().PublicKey)), byPublicKey, rs},
		{"PSS", publicPEM(rsaKey()), ps, sign(jwt.SigningMethodPS256, rsaKey(), claims(nil), nil)},
		{"a certificate", block("CERTIFICATE", cert), byPublicKey, es},
		{"text around the block", "our key:\n" + publicPEM(ecKey()) + "\nthat was it", byPublicKey, es},
		{"a secret and its line end", aSecret + "\r\n\n", bySecret, hs256(claims(nil))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, record := request("/", "Bearer "+tt.token)
			wantAuthn(t, authn(t, tt.file, tt.with).Check(r), record, "", "")
		})
	}
}

func TestKeyFilesThatAreRefused(t *testing.T) {
	small := must(rsa.GenerateKey(rand.Reader, 1024))
	p384 := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	private := must(x509.MarshalPKCS8PrivateKey(ecKey()))
	privateJWK := jwk(ecKey().Public(), map[string]any{"d": "c2VjcmV0"})
	only := func(alg string) func(c *AuthnConfig) {
		return func(c *AuthnConfig) { byPublicKey(c); c.Issuers[0].Algorithms = []string{alg} }
	}
	tests := []struct {
		name string
		file string
		with func(c *AuthnConfig)
		want string
	}{
		{"no PEM", "hello", byPublicKey, "issuers[0].publicKeyFile: holds no PEM block"},
		{"a private key", block("PRIVATE KEY", private), byPublicKey, "issuers[0].publicKeyFile: holds a private key, must be the public one: verifying needs no more"},
		{"a private key of OpenSSL's", block("EC PRIVATE KEY", private), byPublicKey, "issuers[0].publicKeyFile: holds a private key, must be the public one: verifying needs no more"},
		{"two keys", publicPEM(rsaKey()) + publicPEM(ecKey()), byPublicKey, "issuers[0].publicKeyFile: holds more than one PEM block, must be one public key or certificate"},
		{"another block", block("X509 CRL", nil), byPublicKey, `issuers[0].publicKeyFile: holds a PEM block "X509 CRL", must be a public key or a certificate`},
		{"a broken block", block("PUBLIC KEY", []byte("x")), byPublicKey, `issuers[0].publicKeyFile: holds a PEM block "PUBLIC KEY" that cannot be parsed`},
		{"a small key", publicPEM(small), byPublicKey, "issuers[0].publicKeyFile: holds an RSA key of 1024 bits, must be at least 2048"},
		{"a key for no algorithm", publicPEM(rsaKey()), only("ES256"), "issuers[0].publicKeyFile: holds an RSA key, which is for none of [ES256]"},
		{"a curve for another algorithm", publicPEM(p384), only("ES256"), "issuers[0].publicKeyFile: holds an EC key on P-384, which is for none of [ES256]"},
		{"a short secret", aSecret[1:] + "\n", bySecret, "issuers[0].secretFile: holds 31 bytes, must be at least 32"},
		{"no JSON", "keys", byJWKS, `issuers[0].jwksFile: holds no JSON Web Key Set, must be {"keys": [...]}`},
		{"an error in place of a set", `{"error":"oops"}`, byJWKS, "issuers[0].jwksFile: holds no keys"},
		{"a shared secret in a set", jwks(map[string]any{"kty": "oct", "k": "c2VjcmV0"}), byJWKS, "issuers[0].jwksFile: holds no usable key: keys[0] is a shared secret, which belongs into secretFile"},
		{"a key to encrypt with", jwks(jwk(ecKey().Public(), map[string]any{"use": "enc"})), byJWKS, `issuers[0].jwksFile: holds no usable key: keys[0] is for use "enc", must be "sig"`},
		{"a key to sign with", jwks(jwk(ecKey().Public(), map[string]any{"key_ops": []string{"sign"}})), byJWKS, `issuers[0].jwksFile: holds no usable key: keys[0] is for key_ops [sign], must be "verify"`},
		{"a key of another algorithm", jwks(jwk(rsaKey().Public(), map[string]any{"alg": "RS512"})), byJWKS, "issuers[0].jwksFile: holds no usable key: keys[0] holds a key for RS512, must be for one of [RS256 ES256]"},
		{"a private key in a set", jwks(jwk(rsaKey().Public(), nil), privateJWK), byJWKS, "issuers[0].jwksFile: keys[1] is a private key, must be the public one: verifying needs no more"},
		{"no file", "", func(c *AuthnConfig) { c.Issuers[0].JWKSFile = "nowhere" }, "issuers[0].jwksFile: open nowhere: file does not exist"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := AuthnConfig{Issuers: []IssuerConfig{{Issuer: alice}}}
			tt.with(&c)
			_, err := NewAuthn("users", c, files{"key": tt.file}.read, nil)
			var field *exchange.FieldError
			if !errors.As(err, &field) || err.Error() != tt.want {
				t.Errorf("NewAuthn() = %v, want %s", err, tt.want)
			}
		})
	}
}

func TestAllKeyFilesAreReported(t *testing.T) {
	c := AuthnConfig{Issuers: []IssuerConfig{
		{Issuer: "a", SecretFile: "short"}, {Issuer: "b", JWKSFile: "short"}, {Issuer: "c", PublicKeyFile: "short"},
	}}
	_, err := NewAuthn("users", c, files{"short": "s3cr3t"}.read, nil)
	want := []string{
		"issuers[0].secretFile: holds 6 bytes, must be at least 32",
		`issuers[1].jwksFile: holds no JSON Web Key Set, must be {"keys": [...]}`,
		"issuers[2].publicKeyFile: holds no PEM block",
	}
	if diff := cmp.Diff(want, strings.Split(err.Error(), "\n")); diff != "" {
		t.Errorf("NewAuthn() (-want +got):\n%s", diff)
	}
}

func TestAKeyFitsOnlyItsAlgorithms(t *testing.T) {
	tests := []struct {
		name string
		key  any
		want []string
	}{
		{"secret", []byte(aSecret), []string{"HS256", "HS384", "HS512"}},
		{"RSA", rsaKey().Public(), []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}},
		{"EC", ecKey().Public(), []string{"ES256"}},
		{"Ed25519", edKey().Public(), []string{"EdDSA"}},
		{"private", rsaKey(), nil},
	}
	for _, tt := range tests {
		var got []string
		for _, alg := range slices.Concat(symmetric, asymmetric, []string{"none", ""}) {
			if fits(tt.key, alg) {
				got = append(got, alg)
			}
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestKeySets(t *testing.T) {
	rsaJWK := jwk(rsaKey().Public(), map[string]any{"kid": "r", "alg": "RS256", "use": "sig"})
	ecJWK := jwk(ecKey().Public(), map[string]any{"kid": "e"})
	encJWK := jwk(otherRSA().Public(), map[string]any{"kid": "enc", "use": "enc"})
	broken := map[string]any{"kty": "EC", "crv": "P-256", "kid": "b"}
	unknown := map[string]any{"kty": "PQC", "kid": "q"}
	sameID := jwk(ecKey().Public(), map[string]any{"kid": "r"})

	both := jwks(broken, rsaJWK, encJWK, unknown, ecJWK)
	one := jwks(encJWK, rsaJWK)
	rs := func(kid any) string {
		return sign(jwt.SigningMethodRS256, rsaKey(), claims(nil), map[string]any{"kid": kid})
	}
	rsBare := sign(jwt.SigningMethodRS256, rsaKey(), claims(nil), nil)
	tests := []struct {
		name  string
		set   string
		token string
		want  exchange.Reason
	}{
		{"the key is chosen by kid", both, rs("r"), ""},
		{"the other key too", both, sign(jwt.SigningMethodES256, ecKey(), claims(nil), map[string]any{"kid": "e"}), ""},
		{"no kid, one usable key", one, rsBare, ""},
		{"one kid for two types of key", jwks(rsaJWK, sameID), rs("r"), ""},
		{"no kid, two usable keys", both, rsBare, exchange.TokenInvalid},
		{"an empty kid, two usable keys", both, rs(""), exchange.TokenInvalid},
		{"an unknown kid", both, rs("x"), exchange.TokenInvalid},
		{"an unknown kid, one usable key", one, rs("x"), exchange.TokenInvalid},
		{"a kid that is no string", one, rs(7), exchange.TokenInvalid},
		{"the kid of another key", both, rs("e"), exchange.TokenInvalid},
		{"the kid of a key to encrypt with", both, sign(jwt.SigningMethodRS256, otherRSA(), claims(nil), map[string]any{"kid": "enc"}), exchange.TokenInvalid},
		{"another algorithm than the key's", both, sign(jwt.SigningMethodRS384, rsaKey(), claims(nil), map[string]any{"kid": "r"}), exchange.TokenInvalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := authn(t, tt.set, func(c *AuthnConfig) {
				byJWKS(c)
				c.Issuers[0].Algorithms = []string{"RS256", "RS384", "ES256"}
			})
			r, record := request("/", "Bearer "+tt.token)
			wantAuthn(t, a.Check(r), record, tt.want, "invalid_token")
		})
	}
}
