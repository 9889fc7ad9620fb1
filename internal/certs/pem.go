package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// minRSA is the shortest RSA key that is not weak, in bits (RFC 9325 section
// 4.5).
const minRSA = 2048

// parseCertificates returns the certificates in data, at least one. What else
// is in it, such as a key beside them, is left alone.
func parseCertificates(data []byte) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("must hold certificates: number %d is none: %w", len(all)+1, err)
		}
		all = append(all, c)
	}
	if len(all) == 0 {
		return nil, errors.New("must hold certificates in PEM, and has none")
	}
	return all, nil
}

// checkChain checks that each certificate is signed by the next one, and that
// the first is one to show.
func checkChain(chain []*x509.Certificate) error {
	for i, c := range chain[:max(0, len(chain)-1)] {
		if err := c.CheckSignatureFrom(chain[i+1]); err != nil {
			return fmt.Errorf("must hold the chain in order, from its own certificate up: number %d, %q, is not signed by number %d, %q",
				i+1, nameOf(c), i+2, nameOf(chain[i+1]))
		}
	}
	if len(chain) > 0 {
		return checkKey(chain[0].PublicKey)
	}
	return nil
}

// parseKey returns the first private key in data.
func parseKey(data []byte) (crypto.Signer, error) {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") {
			return nil, errors.New("must hold a key that is not encrypted: nobody is there to type its passphrase")
		}
		var key any
		var err error
		switch block.Type {
		case "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case "RSA PRIVATE KEY":
			key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		case "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(block.Bytes)
		default: // EC PARAMETERS stand before a key, and a certificate may
			continue
		}
		if err != nil {
			// What it says may quote the key.
			return nil, fmt.Errorf("must hold a private key, and its %s does not parse", block.Type)
		}
		signer, ok := key.(crypto.Signer)
		if !ok {
			return nil, fmt.Errorf("must hold a key that signs, got %T", key)
		}
		return signer, checkKey(signer.Public())
	}
	return nil, errors.New("must hold a private key in PEM, and has none")
}

// checkKey checks that a key is of a kind that every peer takes.
func checkKey(public crypto.PublicKey) error {
	switch k := public.(type) {
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); bits < minRSA {
			return fmt.Errorf("must have an RSA key of at least %d bits, got %d", minRSA, bits)
		}
		return nil
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P224() {
			return errors.New("must have an ECDSA key on P-256, P-384 or P-521, got P-224")
		}
		return nil
	case ed25519.PublicKey:
		return nil
	}
	return fmt.Errorf("must have an RSA, ECDSA or Ed25519 key, got %T", public)
}

// fits reports whether key is that of c.
func fits(key crypto.Signer, c *x509.Certificate) bool {
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(c.PublicKey)
}

// nameOf returns what people call c.
func nameOf(c *x509.Certificate) string {
	switch {
	case c.Subject.CommonName != "":
		return c.Subject.CommonName
	case len(c.DNSNames) > 0:
		return c.DNSNames[0]
	case len(c.URIs) > 0:
		return c.URIs[0].String()
	}
	return "serial " + c.SerialNumber.String()
}
