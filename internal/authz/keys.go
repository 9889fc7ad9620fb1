package authz

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sidecar/internal/exchange"
)

// key verifies tokens. Its material is public, or a secret that is told to
// nobody.
type key struct {
	id       string    // kid; a lookup key only
	alg      string    // the one algorithm it is meant for; empty: any that fits
	material any       // []byte, *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey
	pkcs1    *pkcs1Key // the material; nil: it is used as it is
}

// usableKey returns a key that may verify tokens of one of algs.
func usableKey(id, alg string, material any, algs []string) (key, error) {
	k := key{id: id, alg: alg, material: material}
	if err := k.usable(algs); err != nil {
		return key{}, err
	}
	if r, ok := material.(*rsa.PublicKey); ok {
		k.pkcs1 = newPKCS1Key(r)
	}
	return k, nil
}

// keys are those of one issuer.
type keys struct {
	list  []key
	named bool // whether a token must say which it means, if there are several
}

var (
	errNoKeyID    = errors.New("the token does not say which key signed it")
	errUnknownKey = errors.New("the key that signed the token is not known")
)

// find returns what may verify a token with the header's kid and alg.
func (ks *keys) find(_ context.Context, kid, alg string) ([]*key, error) {
	if kid == "" && ks.named && len(ks.list) != 1 {
		return nil, errNoKeyID
	}
	var found []*key
	for i := range ks.list {
		k := &ks.list[i]
		if ks.named && kid != "" && k.id != kid {
			continue
		}
		if (k.alg == "" || k.alg == alg) && fits(k.material, alg) {
			found = append(found, k)
		}
	}
	if len(found) == 0 {
		return nil, errUnknownKey
	}
	return found, nil
}

// current returns ks itself: keys of a file are those of their policy.
func (ks *keys) current(time.Time) *keys { return ks }

// has reports whether there is a key called kid.
func (ks *keys) has(kid string) bool {
	return slices.ContainsFunc(ks.list, func(k key) bool { return k.id == kid })
}

// fits reports whether alg is one that the key is for (RFC 7518 section 3.1).
// It is why a public key can never serve as a shared secret.
func fits(material any, alg string) bool {
	switch k := material.(type) {
	case []byte:
		return strings.HasPrefix(alg, "HS")
	case *rsa.PublicKey:
		return strings.HasPrefix(alg, "RS") || strings.HasPrefix(alg, "PS")
	case *ecdsa.PublicKey:
		switch alg {
		case "ES256":
			return k.Curve == elliptic.P256()
		case "ES384":
			return k.Curve == elliptic.P384()
		case "ES512":
			return k.Curve == elliptic.P521()
		}
	case ed25519.PublicKey:
		return alg == "EdDSA"
	}
	return false
}

// usable reports what keeps a key from ever verifying a token of one of algs.
func (k key) usable(algs []string) error {
	if k.alg != "" && !slices.Contains(algs, k.alg) {
		return fmt.Errorf("holds a key for %s, must be for one of %v", k.alg, algs)
	}
	if !slices.ContainsFunc(algs, func(alg string) bool { return (k.alg == "" || k.alg == alg) && fits(k.material, alg) }) {
		return fmt.Errorf("holds %s, which is for none of %v", describe(k.material), algs)
	}
	if r, ok := k.material.(*rsa.PublicKey); ok && r.N.BitLen() < minRSABits {
		return fmt.Errorf("holds an RSA key of %d bits, must be at least %d", r.N.BitLen(), minRSABits)
	}
	return nil
}

// What RFC 7518 asks of keys (sections 3.2 and 3.3).
const (
	minSecret  = 32 // bytes
	minRSABits = 2048
)

// describe names the kind of a key, never the key.
func describe(material any) string {
	switch k := material.(type) {
	case []byte:
		return "a shared secret"
	case *rsa.PublicKey:
		return "an RSA key"
	case *ecdsa.PublicKey:
		return "an EC key on " + k.Curve.Params().Name
	case ed25519.PublicKey:
		return "an Ed25519 key"
	}
	return fmt.Sprintf("a key of unknown type %T", material)
}

// parseSecret reads a shared secret.
func parseSecret(data []byte) (keys, error) {
	secret := exchange.TrimSecret(data)
	if len(secret) < minSecret {
		return keys{}, fmt.Errorf("holds %d bytes, must be at least %d", len(secret), minSecret)
	}
	return keys{list: []key{{material: bytes.Clone(secret)}}}, nil
}

// parsePEM reads one public key, bare or in a certificate. The certificate's
// dates and issuer are not looked at: the operator chose the file.
func parsePEM(data []byte, algs []string) (keys, error) {
	block, rest := pem.Decode(data)
	if block == nil {
		return keys{}, errors.New("holds no PEM block")
	}
	if next, _ := pem.Decode(rest); next != nil {
		return keys{}, errors.New("holds more than one PEM block, must be one public key or certificate")
	}
	material, err := parseBlock(block)
	if err != nil {
		return keys{}, err
	}
	k, err := usableKey("", "", material, algs)
	if err != nil {
		return keys{}, err
	}
	return keys{list: []key{k}}, nil
}

// parseBlock returns the public key in block. The parsers' own errors are not
// repeated: they are written for people who see the bytes.
func parseBlock(block *pem.Block) (material any, err error) {
	switch {
	case strings.HasSuffix(block.Type, "PRIVATE KEY"):
		return nil, errors.New("holds a private key, must be the public one: verifying needs no more")
	case block.Type == "PUBLIC KEY":
		material, err = x509.ParsePKIXPublicKey(block.Bytes)
	case block.Type == "RSA PUBLIC KEY":
		material, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case block.Type == "CERTIFICATE":
		var cert *x509.Certificate
		if cert, err = x509.ParseCertificate(block.Bytes); err == nil {
			material = cert.PublicKey
		}
	default:
		return nil, fmt.Errorf("holds a PEM block %q, must be a public key or a certificate", block.Type)
	}
	if err != nil {
		return nil, fmt.Errorf("holds a PEM block %q that cannot be parsed", block.Type)
	}
	return material, nil
}
