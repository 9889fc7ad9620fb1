package authz

import (
	"bytes"
	"crypto"
	"crypto/fips140"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

// info returns what stands before a hash, by its OID. Bytes of a length of 128 and
// more do not occur.
func info(hash crypto.Hash, parameters ...byte) []byte {
	oid := map[crypto.Hash]byte{crypto.SHA256: 1, crypto.SHA384: 2, crypto.SHA512: 3, crypto.SHA224: 4}[hash]
	algorithm := append([]byte{0x06, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, oid}, parameters...)
	out := append([]byte{0x30, byte(2 + len(algorithm) + 2 + hash.Size()), 0x30, byte(len(algorithm))}, algorithm...)
	return append(out, 0x04, byte(hash.Size()))
}

// behindPadding returns tail with the padding before it that fills size.
func behindPadding(size int, tail []byte) []byte {
	out := append([]byte{0, 1}, bytes.Repeat([]byte{0xff}, size-3-len(tail))...)
	return append(append(out, 0), tail...)
}

var null = []byte{0x05, 0}

// forgeries are what a signature may hold in place of what it should. Each is
// signed with the private key, so that nothing but the comparison finds it out.
var forgeries = []struct {
	name   string
	encode func(size int, hash crypto.Hash, sum []byte) []byte
}{
	{"no NULL in the algorithm", func(size int, hash crypto.Hash, sum []byte) []byte {
		return behindPadding(size, append(info(hash), sum...))
	}},
	{"a NULL with a length of two bytes", func(size int, hash crypto.Hash, sum []byte) []byte {
		return behindPadding(size, append(info(hash, 0x05, 0x81, 0), sum...))
	}},
	{"garbage for parameters", func(size int, hash crypto.Hash, sum []byte) []byte {
		return behindPadding(size, append(info(hash, 0x04, 3, 1, 2, 3), sum...))
	}},
	{"garbage behind NULL", func(size int, hash crypto.Hash, sum []byte) []byte {
		return behindPadding(size, append(info(hash, 0x05, 0, 0x04, 1, 7), sum...))
	}},
	{"a sequence with a length of two bytes", func(size int, hash crypto.Hash, sum []byte) []byte {
		return behindPadding(size, append(slices.Insert(info(hash, null...), 1, 0x81), sum...))
	}},
	{"an algorithm with a length of two bytes", func(size int, hash crypto.Hash, sum []byte) []byte {
		return behindPadding(size, append(slices.Insert(info(hash, null...), 3, 0x81), sum...))
	}},
	{"a hash with a length of two bytes", func(size int, hash crypto.Hash, sum []byte) []byte {
		return behindPadding(size, append(slices.Insert(info(hash, null...), 18, 0x81), sum...))
	}},
	{"a sequence of indefinite length", func(size int, hash crypto.Hash, sum []byte) []byte {
		tail := append(info(hash, null...), sum...)
		tail[1] = 0x80
		return behindPadding(size, append(tail, 0, 0))
	}},
	{"another OID", func(size int, _ crypto.Hash, sum []byte) []byte {
		tail := append(info(crypto.SHA224, null...), sum...)
		tail[1], tail[18] = byte(17+len(sum)), byte(len(sum))
		return behindPadding(size, tail)
	}},
	{"a hash of another kind", func(size int, hash crypto.Hash, _ []byte) []byte {
		other := crypto.SHA256
		if hash == other {
			other = crypto.SHA384
		}
		return behindPadding(size, append(info(other, null...), sumOf(other, "a text")...))
	}},
	{"the hash of another text", func(size int, hash crypto.Hash, _ []byte) []byte {
		return behindPadding(size, append(info(hash, null...), sumOf(hash, "another text")...))
	}},
	{"the hash alone", func(size int, _ crypto.Hash, sum []byte) []byte { return behindPadding(size, sum) }},
	{"a hash that is cut short", func(size int, hash crypto.Hash, sum []byte) []byte {
		return behindPadding(size, append(info(hash, null...), sum[:len(sum)-1]...))
	}},
	{"a hash that goes on", func(size int, hash crypto.Hash, sum []byte) []byte {
		return behindPadding(size, append(append(info(hash, null...), sum...), 0))
	}},
	{"short padding, garbage behind", func(size int, hash crypto.Hash, sum []byte) []byte {
		out := behindPadding(2+8+1+19+len(sum), append(info(hash, null...), sum...))
		return append(out, bytes.Repeat([]byte{0xa5}, size-len(out))...)
	}},
	{"short padding, garbage before", func(size int, hash crypto.Hash, sum []byte) []byte {
		out := behindPadding(size, append(info(hash, null...), sum...))
		out[10] = 0
		return out
	}},
	{"no padding", func(size int, hash crypto.Hash, sum []byte) []byte {
		tail := append(append([]byte{0, 1, 0}, info(hash, null...)...), sum...)
		return append(tail, make([]byte, size-len(tail))...)
	}},
	{"padding with one bit less", func(size int, hash crypto.Hash, sum []byte) []byte {
		out := behindPadding(size, append(info(hash, null...), sum...))
		out[2] = 0xfe
		return out
	}},
	{"padding of zeros (block type 0)", func(size int, hash crypto.Hash, sum []byte) []byte {
		tail := append(info(hash, null...), sum...)
		return append(make([]byte, size-len(tail)), tail...)
	}},
	{"padding to encrypt with (block type 2)", func(size int, hash crypto.Hash, sum []byte) []byte {
		out := behindPadding(size, append(info(hash, null...), sum...))
		out[1] = 2
		return out
	}},
	{"a first byte that is not zero", func(size int, hash crypto.Hash, sum []byte) []byte {
		out := behindPadding(size, append(info(hash, null...), sum...))
		out[0] = 1
		return out
	}},
	{"no zero behind the padding", func(size int, hash crypto.Hash, sum []byte) []byte {
		tail := append(info(hash, null...), sum...)
		out := behindPadding(size, tail)
		out[size-len(tail)-1] = 0xff
		return out
	}},
	{"nothing", func(size int, _ crypto.Hash, _ []byte) []byte { return make([]byte, size) }},
}

// encoded is the one form that is right.
func encoded(size int, hash crypto.Hash, sum []byte) []byte {
	return behindPadding(size, append(info(hash, null...), sum...))
}

// changes are what may become of a signature on its way.
var changes = []struct {
	name   string
	change func(s *signer, signature []byte, at uint16) []byte
}{
	{"one bit is another", func(_ *signer, signature []byte, at uint16) []byte {
		bit := int(at) % (8 * len(signature))
		signature[bit/8] ^= 1 << (bit % 8)
		return signature
	}},
	{"the last byte is gone", func(_ *signer, signature []byte, _ uint16) []byte { return signature[:len(signature)-1] }},
	{"the first byte is gone", func(_ *signer, signature []byte, _ uint16) []byte { return signature[1:] }},
	{"all is gone", func(*signer, []byte, uint16) []byte { return nil }},
	{"a zero stands before it", func(_ *signer, signature []byte, _ uint16) []byte { return append([]byte{0}, signature...) }},
	{"eight zeros stand before it", func(_ *signer, signature []byte, _ uint16) []byte {
		return append(make([]byte, 8), signature...)
	}},
	{"a zero stands behind it", func(_ *signer, signature []byte, _ uint16) []byte { return append(signature, 0) }},
	{"it is all zeros", func(_ *signer, signature []byte, _ uint16) []byte { return make([]byte, len(signature)) }},
	{"it is all ones", func(_ *signer, signature []byte, _ uint16) []byte {
		return bytes.Repeat([]byte{0xff}, len(signature))
	}},
	{"it is the modulus", func(s *signer, _ []byte, _ uint16) []byte { return s.public.N.Bytes() }},
	{"it is one less than the modulus", func(s *signer, _ []byte, _ uint16) []byte {
		return new(big.Int).Sub(s.public.N, big.NewInt(1)).Bytes()
	}},
	{"the modulus is added", func(s *signer, signature []byte, _ uint16) []byte {
		return new(big.Int).Add(s.public.N, new(big.Int).SetBytes(signature)).Bytes()
	}},
}

// wantAsBefore fails if a signature fares otherwise than with golang-jwt and
// crypto/rsa. It returns whether it is good.
func wantAsBefore(t *testing.T, s *signer, method jwt.SigningMethod, signed string, signature []byte) bool {
	t.Helper()
	k := &key{material: s.public, pkcs1: s.ready}
	got, want := k.verify(method, signed, signature), method.Verify(signed, signature, s.public)
	if got != want {
		t.Errorf("%d bits, e %d, %s: verify(%q, %x) = %v, crypto/rsa says %v",
			s.public.N.BitLen(), s.public.E, method.Alg(), signed, signature, got, want)
	}
	return got == nil
}

func TestOnlyOneFormOfASignatureIsBelieved(t *testing.T) {
	const text = "a text"
	for _, s := range signers() {
		for _, method := range rsaMethods[:3] {
			hash := hashOfMethod(method)
			sum := sumOf(hash, text)
			good := s.sign(encoded(s.size, hash, sum))
			if !wantAsBefore(t, s, method, text, good) {
				t.Errorf("%d bits, e %d, %s: a good signature is not believed", s.public.N.BitLen(), s.public.E, method.Alg())
			}
			for _, f := range forgeries {
				if s.public.E != 65537 {
					break // what a signature holds is all the same then
				}
				if wantAsBefore(t, s, method, text, s.sign(f.encode(s.size, hash, sum))) {
					t.Errorf("%s with %s is believed", method.Alg(), f.name)
				}
			}
			for _, c := range changes {
				if wantAsBefore(t, s, method, text, c.change(s, bytes.Clone(good), 77)) {
					t.Errorf("%s is believed though %s", method.Alg(), c.name)
				}
			}
			for _, other := range rsaMethods {
				if believed := wantAsBefore(t, s, other, text, good); believed != (other == method) {
					t.Errorf("a signature by %s is believed as one by %s: %v", method.Alg(), other.Alg(), believed)
				}
			}
		}
	}
}

func TestEachByteOfASignatureCounts(t *testing.T) {
	const text = "a text"
	s := signerOf(2048, 65537)
	for _, method := range rsaMethods[:3] {
		hash := hashOfMethod(method)
		right := encoded(s.size, hash, sumOf(hash, text))
		for i := range right {
			wrong := bytes.Clone(right)
			wrong[i] ^= 1 // that of the first byte still is below the modulus
			if s.ready.verify(hash, text, s.sign(wrong)) == nil {
				t.Errorf("%v: byte %d of what a signature holds is not looked at", hash, i)
			}
		}
	}
}

// The modulus has room in its first byte and in the last of its words, so that
// one number could be written in several ways.
func TestANumberIsWrittenInOneWay(t *testing.T) {
	s := signerOf(2049, 65537)
	text, good := "", []byte{1}
	for i := 0; good[0] != 0; i++ { // is so in two cases of three
		text = fmt.Sprintf("text %d", i)
		good = s.sign(encoded(s.size, crypto.SHA256, sumOf(crypto.SHA256, text)))
	}
	for name, signature := range map[string][]byte{
		"without its first zero":      good[1:],
		"with one zero more":          append([]byte{0}, good...),
		"with the modulus added":      new(big.Int).Add(s.public.N, new(big.Int).SetBytes(good)).Bytes(),
		"with the modulus taken away": new(big.Int).Sub(s.public.N, new(big.Int).SetBytes(good)).Bytes(),
	} {
		if wantAsBefore(t, s, jwt.SigningMethodRS256, text, signature) {
			t.Errorf("a signature %s is believed", name)
		}
	}
	if !wantAsBefore(t, s, jwt.SigningMethodRS256, text, good) {
		t.Error("a good signature is not believed")
	}
}

func TestKeysOutOfTheOrdinaryAreLeftToCryptoRSA(t *testing.T) {
	odd := func(bits int) *big.Int {
		n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
		return n.SetBit(n, bits/2, 1).SetBit(n, 0, 1)
	}
	even := new(big.Int).Sub(odd(2048), big.NewInt(1))
	tests := []struct {
		name  string
		key   rsa.PublicKey
		ready bool
	}{
		{"usual", rsa.PublicKey{N: odd(2048), E: 65537}, true},
		{"of an odd number of bits", rsa.PublicKey{N: odd(2049), E: 65537}, true},
		{"large", rsa.PublicKey{N: odd(4096), E: 65537}, true},
		{"with the least exponent", rsa.PublicKey{N: odd(2048), E: 3}, true},
		{"with the greatest exponent", rsa.PublicKey{N: odd(2048), E: 1<<31 - 1}, true},
		{"small", rsa.PublicKey{N: odd(2047), E: 65537}, false},
		{"larger", rsa.PublicKey{N: odd(4097), E: 65537}, false},
		{"even", rsa.PublicKey{N: even, E: 65537}, false},
		{"negative", rsa.PublicKey{N: new(big.Int).Neg(odd(2048)), E: 65537}, false},
		{"zero", rsa.PublicKey{N: new(big.Int), E: 65537}, false},
		{"with an even exponent", rsa.PublicKey{N: odd(2048), E: 65536}, false},
		{"with exponent 2", rsa.PublicKey{N: odd(2048), E: 2}, false},
		{"with exponent 1", rsa.PublicKey{N: odd(2048), E: 1}, false},
		{"with exponent 0", rsa.PublicKey{N: odd(2048)}, false},
		{"with a negative exponent", rsa.PublicKey{N: odd(2048), E: -3}, false},
		{"with a great exponent", rsa.PublicKey{N: odd(2048), E: 1<<31 + 1}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k := key{material: &tt.key, pkcs1: newPKCS1Key(&tt.key)}
			if got := k.pkcs1 != nil; got != tt.ready {
				t.Errorf("the key is made ready: %v, want %v", got, tt.ready)
			}
			// With e = 1 a signature is what it holds.
			signature := encoded(max(1, (tt.key.N.BitLen()+7)/8, 256), crypto.SHA256, sumOf(crypto.SHA256, "a text"))
			got, want := k.verify(jwt.SigningMethodRS256, "a text", signature), jwt.SigningMethodRS256.Verify("a text", signature, &tt.key)
			if got == nil || got.Error() != want.Error() {
				t.Errorf("verify() = %v, want %v", got, want)
			}
		})
	}
}

func TestAnRSAKeyIsMadeReadyWhenItIsRead(t *testing.T) {
	algs := []string{"RS256"}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	cert := must(x509.CreateCertificate(rand.Reader, template, template, rsaKey().Public(), rsaKey()))
	for name, ks := range map[string]keys{
		"PEM":           must(parsePEM([]byte(publicPEM(rsaKey())), algs)),
		"a certificate": must(parsePEM([]byte(block("CERTIFICATE", cert)), algs)),
		"a key set":     must(parseJWKS([]byte(jwks(jwk(rsaKey().Public(), map[string]any{"alg": "RS256"}))), algs)),
	} {
		found := must(ks.find(t.Context(), "", "RS256"))
		again := must(ks.find(t.Context(), "", "RS256"))
		if found[0].pkcs1 == nil || found[0].pkcs1 != again[0].pkcs1 {
			t.Errorf("%s: the key is not ready, or made so for each token", name)
		}
	}
}

func TestAHashThatNoTokenIsSignedWithIsNotBelieved(t *testing.T) {
	s := signerOf(2048, 65537)
	for _, message := range [][]byte{nil, behindPadding(s.size, nil), encoded(s.size, crypto.SHA224, sumOf(crypto.SHA224, "a text"))} {
		if err := s.ready.verify(crypto.SHA224, "a text", s.sign(message)); err != rsa.ErrVerification {
			t.Errorf("verify() by SHA-224 = %v, want %v", err, rsa.ErrVerification)
		}
	}
}

func TestAReadyKeyServesManyAtOnce(t *testing.T) {
	s := signerOf(3072, 65537)
	good := s.sign(encoded(s.size, crypto.SHA256, sumOf(crypto.SHA256, "a text")))
	bad := bytes.Clone(good)
	bad[100] ^= 4
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 25 {
				if err := s.ready.verify(crypto.SHA256, "a text", good); err != nil {
					t.Errorf("verify(good) = %v, want nil", err)
				}
				if s.ready.verify(crypto.SHA256, "a text", bad) == nil {
					t.Error("verify(bad) = nil, want an error")
				}
			}
		})
	}
	all.Wait()
}

// Where a module is approved, nothing else may verify. Whether one is, is
// decided when a process starts.
func TestInFIPSModeCryptoRSAVerifies(t *testing.T) {
	if !fips140.Enabled() {
		again := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		again.Env = append(os.Environ(), "GODEBUG=fips140=on")
		out, err := again.CombinedOutput()
		if err != nil || !bytes.Contains(out, []byte("--- PASS: "+t.Name())) {
			t.Errorf("in FIPS mode: %v\n%s", err, out)
		}
		return
	}
	if newPKCS1Key(&rsaKey().PublicKey) != nil {
		t.Error("the key is made ready in FIPS mode, want it left to crypto/rsa")
	}
	r, record := request("/", "Bearer "+sign(jwt.SigningMethodRS256, rsaKey(), claims(nil), nil))
	wantAuthn(t, authn(t, publicPEM(rsaKey()), byPublicKey).Check(r), record, "", "")
}

// FuzzPKCS1 signs whatever it is given: a signature fares as it does with
// crypto/rsa, which nothing but the right one satisfies.
func FuzzPKCS1(f *testing.F) {
	for i := range signers() {
		f.Add(uint8(i), uint8(i), uint8(0), uint8(0), uint16(0), []byte(nil), "a text")
		f.Add(uint8(i), uint8(i+1), uint8(1+i), uint8(0), uint16(i), []byte(nil), "a text")
		f.Add(uint8(i), uint8(i+2), uint8(0), uint8(1+i), uint16(i), []byte(nil), "")
		f.Add(uint8(i), uint8(i), uint8(0), uint8(0), uint16(100*i), []byte{0xff, 0}, "a text")
	}
	f.Fuzz(func(t *testing.T, who, how, forgery, change uint8, at uint16, patch []byte, text string) {
		s, method := signers()[int(who)%len(signers())], rsaMethods[int(how)%len(rsaMethods)]
		hash := hashOfMethod(method)
		encode := encoded
		if n := int(forgery) % (1 + len(forgeries)); n > 0 {
			encode = forgeries[n-1].encode
		}
		right := encoded(s.size, hash, sumOf(hash, text))
		message := encode(s.size, hash, sumOf(hash, text))
		copy(message[int(at)%s.size:], patch)
		signature := s.sign(message)
		changed := int(change)%(1+len(changes)) > 0
		if changed {
			signature = changes[int(change)%(1+len(changes))-1].change(s, signature, at)
		}
		believed := wantAsBefore(t, s, method, text, signature)
		if plain := method.Alg()[0] == 'R'; believed && !(plain && bytes.Equal(message, right)) ||
			!believed && plain && !changed && bytes.Equal(message, right) {
			t.Errorf("%s: a signature that holds %x is believed: %v", method.Alg(), message, believed)
		}
	})
}
