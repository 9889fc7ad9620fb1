package authz

import (
	"crypto"
	"crypto/rsa"
	"math/big"
	"math/rand/v2"
	"sync"

	"filippo.io/bigmod"
	"github.com/golang-jwt/jwt/v5"
)

// seededKey is an RSA key that is the same each time, so that what a fuzzer
// finds is found again. Its primes are so many odd numbers behind where they are
// looked for, which says them shortly.
type seededKey struct {
	bits   int
	behind [2]int64
}

// seededKeys have primes that go with each of exponents.
var (
	seededKeys = []seededKey{
		{1024, [2]int64{39, 288}},
		{2048, [2]int64{479, 1433}},
		{2049, [2]int64{292, 2738}},
		{3072, [2]int64{1504, 651}},
		{4096, [2]int64{1301, 556}},
	}
	exponents = []int{3, 17, 65537, 1<<31 - 1}
)

// signer signs by hand, whatever it is given. It is safe for concurrent use.
type signer struct {
	public *rsa.PublicKey
	ready  *pkcs1Key // also of a size that no policy accepts
	size   int

	primes, exponents [2]*big.Int
	coefficient       *big.Int
}

// signers are all of seededKeys with each of exponents.
var signers = sync.OnceValue(func() []*signer {
	var all []*signer
	for _, k := range seededKeys {
		p, q := k.primes()
		for _, e := range exponents {
			all = append(all, newSigner(p, q, e))
		}
	}
	return all
})

// signerOf returns the one whose key has so many bits and that exponent.
func signerOf(bits, exponent int) *signer {
	for _, s := range signers() {
		if s.public.N.BitLen() == bits && s.public.E == exponent {
			return s
		}
	}
	panic("there is no such key")
}

func (k seededKey) primes() (p, q *big.Int) {
	random := rand.NewChaCha8([32]byte{byte(k.bits >> 8), byte(k.bits)})
	var found [2]*big.Int
	for i, bits := range [2]int{(k.bits + 1) / 2, k.bits / 2} {
		data := make([]byte, (bits+7)/8)
		_, _ = random.Read(data)
		n := new(big.Int).SetBytes(data)
		n.And(n, new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), uint(bits)), big.NewInt(1)))
		n.SetBit(n, bits-1, 1).SetBit(n, bits-2, 1).SetBit(n, 0, 1)
		if n.Add(n, big.NewInt(2*k.behind[i])); !n.ProbablyPrime(0) {
			panic("the seed leads to no prime")
		}
		found[i] = n
	}
	return found[0], found[1]
}

func newSigner(p, q *big.Int, exponent int) *signer {
	n := new(big.Int).Mul(p, q)
	s := &signer{
		public: &rsa.PublicKey{N: n, E: exponent}, size: (n.BitLen() + 7) / 8,
		primes: [2]*big.Int{p, q}, coefficient: new(big.Int).ModInverse(q, p),
	}
	for i, prime := range s.primes {
		s.exponents[i] = new(big.Int).ModInverse(big.NewInt(int64(exponent)), new(big.Int).Sub(prime, big.NewInt(1)))
	}
	modulus := must(bigmod.NewModulus(n.Bytes()))
	s.ready = &pkcs1Key{modulus: modulus, exponent: uint(exponent), size: modulus.Size()}
	return s
}

// sign returns the signature that holds message, which need not be encoded as it
// should be.
func (s *signer) sign(message []byte) []byte {
	m := new(big.Int).SetBytes(message)
	p := new(big.Int).Exp(m, s.exponents[0], s.primes[0])
	q := new(big.Int).Exp(m, s.exponents[1], s.primes[1])
	h := p.Sub(p, q)
	h.Mul(h, s.coefficient).Mod(h, s.primes[0])
	return h.Mul(h, s.primes[1]).Add(h, q).FillBytes(make([]byte, s.size))
}

// rsaMethods are those that an RSA key is for.
var rsaMethods = []jwt.SigningMethod{
	jwt.SigningMethodRS256, jwt.SigningMethodRS384, jwt.SigningMethodRS512,
	jwt.SigningMethodPS256, jwt.SigningMethodPS384, jwt.SigningMethodPS512,
}

func hashOfMethod(method jwt.SigningMethod) crypto.Hash {
	switch method.Alg()[2:] {
	case "384":
		return crypto.SHA384
	case "512":
		return crypto.SHA512
	}
	return crypto.SHA256
}

func sumOf(hash crypto.Hash, signed string) []byte {
	h := hash.New()
	_, _ = h.Write([]byte(signed))
	return h.Sum(nil)
}
