package authz

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"

	"sidecar/internal/exchange"
)

const (
	alice   = "https://id.example.com/"
	skew    = 30 * time.Second
	aSecret = "0123456789abcdef0123456789abcdef"
)

// Keys are slow to make; each is made once for all tests.
var (
	rsaKey   = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	otherRSA = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	ecKey    = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
	edKey    = sync.OnceValue(func() ed25519.PrivateKey {
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return must(private, err)
	})
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// publicPEM returns the public half of a key as a PEM file.
func publicPEM(private crypto.Signer) string {
	der := must(x509.MarshalPKIXPublicKey(private.Public()))
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// jwk returns the public half of a key as a JWK; extra are further members.
func jwk(public any, extra map[string]any) map[string]any {
	key := must(jwkset.NewJWKFromKey(public, jwkset.JWKOptions{}))
	out := map[string]any{}
	if err := json.Unmarshal(must(json.Marshal(key.Marshal())), &out); err != nil {
		panic(err)
	}
	maps.Copy(out, extra)
	return out
}

func jwks(keys ...map[string]any) string {
	return string(must(json.Marshal(map[string]any{"keys": keys})))
}

// files reads from a map of path to content.
type files map[string]string

func (fs_ files) read(path string) ([]byte, error) {
	data, ok := fs_[path]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
	return []byte(data), nil
}

// authn returns a policy that believes one issuer, whose key file, named key,
// holds content.
func authn(t testing.TB, content string, with func(c *AuthnConfig)) *Authn {
	t.Helper()
	c := AuthnConfig{Line: 3}
	c.SetDefaults()
	c.Issuers = []IssuerConfig{{Issuer: alice}}
	with(&c)
	a, err := NewAuthn("users", c, files{"key": content}.read, nil)
	if err != nil {
		t.Fatalf("NewAuthn() = %v, want nil", err)
	}
	return a
}

func bySecret(c *AuthnConfig)    { c.Issuers[0].SecretFile = "key" }
func byPublicKey(c *AuthnConfig) { c.Issuers[0].PublicKeyFile = "key" }
func byJWKS(c *AuthnConfig)      { c.Issuers[0].JWKSFile = "key" }

// claims returns those of a good token, changed by change; nil takes one away.
func claims(change map[string]any) jwt.MapClaims {
	now := time.Now()
	out := jwt.MapClaims{"iss": alice, "sub": "u1", "exp": now.Add(time.Minute).Unix(), "nbf": now.Unix()}
	maps.Copy(out, change)
	maps.DeleteFunc(out, func(_ string, v any) bool { return v == nil })
	return out
}

// sign returns a token; header are further members of its header.
func sign(method jwt.SigningMethod, key any, c jwt.MapClaims, header map[string]any) string {
	token := jwt.NewWithClaims(method, c)
	maps.Copy(token.Header, header)
	return must(token.SignedString(key))
}

func hs256(c jwt.MapClaims) string {
	return sign(jwt.SigningMethodHS256, []byte(aSecret), c, nil)
}

// request returns a request with a record of its own and the Authorization
// fields given.
func request(line string, authorization ...string) (*http.Request, *exchange.Record) {
	r := httptest.NewRequest("GET", line, nil)
	if len(authorization) > 0 {
		r.Header["Authorization"] = authorization
	}
	record := &exchange.Record{}
	return r.WithContext(exchange.With(r.Context(), record)), record
}

// refusal returns err as a refusal, or fails.
func refusal(t *testing.T, err error) *exchange.Refusal {
	t.Helper()
	var f *exchange.Refusal
	if !errors.As(err, &f) {
		t.Fatalf("Check() = %v, want a refusal", err)
	}
	return f
}

// keeper makes what it is asked for.
type keeper struct {
	keySet       func(KeySetConfig) *KeySet
	introspector func(IntrospectorConfig) *Introspector
}

func (k keeper) KeySet(c KeySetConfig) *KeySet { return k.keySet(c) }

func (k keeper) Introspector(c IntrospectorConfig) *Introspector { return k.introspector(c) }
