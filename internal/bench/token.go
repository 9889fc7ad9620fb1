package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// coldCount is how many requests of a round have a token of their own. To sign
// one takes many times longer than to verify it.
const coldCount = 2500

// issuer signs tokens with RS256.
type issuer struct{ key *rsa.PrivateKey }

// newIssuer returns one, and writes its public key to file.
func newIssuer(file string) (*issuer, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	return &issuer{key}, os.WriteFile(file, block, 0o600)
}

// sign returns n tokens of the same reader, no two of them the same.
func (i *issuer) sign(n int) ([]string, error) {
	tokens := make([]string, n)
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var all sync.WaitGroup
	now := time.Now()
	for range runtime.GOMAXPROCS(0) {
		all.Go(func() {
			for at := int(next.Add(1)) - 1; at < n; at = int(next.Add(1)) - 1 {
				var err error
				tokens[at], err = jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims{
					"iss": "bench", "sub": "alice", "roles": []string{"reader"}, "jti": fmt.Sprintf("%08d", at),
					"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(),
				}).SignedString(i.key)
				if err != nil {
					failed.CompareAndSwap(nil, &err)
				}
			}
		})
	}
	all.Wait()
	if err := failed.Load(); err != nil {
		return nil, *err
	}
	return tokens, nil
}

// unseen returns what gives n requests, each with a token that none had before.
func (w *world) unseen(n int) func() []byte {
	first := w.used
	w.used += n
	var given atomic.Int64
	return func() []byte {
		at := int(given.Add(1))
		if at > n {
			return nil
		}
		return getSmall.message(w.tokens[first+at-1])
	}
}
