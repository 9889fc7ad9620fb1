package authz

import (
	"bytes"
	"crypto"
	"crypto/fips140"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"

	"filippo.io/bigmod"
	"github.com/golang-jwt/jwt/v5"
)

// pkcs1Key is an RSA key made ready to verify signatures of RSASSA-PKCS1-v1_5
// (RFC 8017 section 8.2.2). It says yes and no where crypto/rsa does, which works
// out anew for each signature what is made once here. It never changes.
type pkcs1Key struct {
	modulus  *bigmod.Modulus
	exponent uint
	size     int // of the modulus, and so of a signature; bytes
}

// maxPKCS1Bits is the size of the largest key that is made ready: few are larger.
const maxPKCS1Bits = 4096

// newPKCS1Key returns pub made ready. It returns nil for a key that is left to
// crypto/rsa: where only its module is approved, and where it would refuse the
// key, or the key is of an unusual size.
func newPKCS1Key(pub *rsa.PublicKey) *pkcs1Key {
	bits := pub.N.BitLen()
	switch {
	case fips140.Enabled(),
		pub.N.Sign() < 0, pub.N.Bit(0) == 0,
		bits < minRSABits, bits > maxPKCS1Bits,
		pub.E < 3, pub.E&1 == 0, pub.E > 1<<31-1:
		return nil
	}
	modulus, err := bigmod.NewModulus(pub.N.Bytes())
	if err != nil {
		return nil
	}
	return &pkcs1Key{modulus: modulus, exponent: uint(pub.E), size: modulus.Size()}
}

// verify returns nil if signature is that of signed. Nothing in what a signature
// holds is parsed: it is all compared with the one form that is right.
func (k *pkcs1Key) verify(hash crypto.Hash, signed string, signature []byte) error {
	if len(signature) != k.size {
		return rsa.ErrVerification
	}
	s, err := bigmod.NewNat().SetBytes(signature, k.modulus)
	if err != nil { // it is not below the modulus
		return rsa.ErrVerification
	}
	got := bigmod.NewNat().ExpShortVarTime(s, k.exponent, k.modulus).Bytes(k.modulus)
	var place [maxPKCS1Bits / 8]byte
	if !bytes.Equal(got, k.encode(place[:0], hash, signed)) {
		return rsa.ErrVerification
	}
	return nil
}

// What stands before a hash (RFC 8017 section 9.2, note 1).
const (
	infoSHA256 = "\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20"
	infoSHA384 = "\x30\x41\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\x04\x30"
	infoSHA512 = "\x30\x51\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\x04\x40"
)

// encode appends to an empty slice what the signature of signed must hold, which is
// EMSA-PKCS1-v1_5 (RFC 8017 section 9.2). For a hash that no token is signed with
// it returns nil, which no signature holds. The smallest key has room for the largest hash.
func (k *pkcs1Key) encode(to []byte, hash crypto.Hash, signed string) []byte {
	var room [1 << 10]byte // for most tokens, so that they need none from the heap
	text := append(room[:0], signed...)
	switch hash {
	case crypto.SHA256:
		sum := sha256.Sum256(text)
		return append(k.pad(to, infoSHA256, len(sum)), sum[:]...)
	case crypto.SHA384:
		sum := sha512.Sum384(text)
		return append(k.pad(to, infoSHA384, len(sum)), sum[:]...)
	case crypto.SHA512:
		sum := sha512.Sum512(text)
		return append(k.pad(to, infoSHA512, len(sum)), sum[:]...)
	}
	return nil
}

// pad appends all that stands before a hash of so many bytes.
func (k *pkcs1Key) pad(to []byte, info string, hash int) []byte {
	to = append(to, 0, 1)
	for len(to) < k.size-1-len(info)-hash {
		to = append(to, 0xff)
	}
	return append(append(to, 0), info...)
}

// verify returns nil if signature is the key's of signed, by method, which must be
// one that the key is for.
func (k *key) verify(method jwt.SigningMethod, signed string, signature []byte) error {
	// The methods of PS256 and its like are of another type.
	if m, ok := method.(*jwt.SigningMethodRSA); ok && k.pkcs1 != nil {
		return k.pkcs1.verify(m.Hash, signed, signature)
	}
	return method.Verify(signed, signature, k.material)
}
