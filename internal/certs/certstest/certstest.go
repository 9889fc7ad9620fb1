// Package certstest makes certificates for tests.
package certstest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"testing"
	"time"
)

// Authority is a CA.
type Authority struct {
	cert *x509.Certificate
	key  crypto.Signer
	up   []byte // the chain above it that is to be shown, in PEM
}

// Pair is a certificate with its chain, and its key, in PEM.
type Pair struct{ Cert, Key []byte }

// New returns a CA of its own.
func New(t testing.TB, name string) *Authority {
	t.Helper()
	template := template(name)
	template.IsCA, template.KeyUsage = true, x509.KeyUsageCertSign
	template.BasicConstraintsValid = true
	cert, key := sign(t, template, nil, nil)
	return &Authority{cert: cert, key: key}
}

// Below returns a CA that a has signed.
func (a *Authority) Below(t testing.TB, name string) *Authority {
	t.Helper()
	template := template(name)
	template.IsCA, template.KeyUsage = true, x509.KeyUsageCertSign
	template.BasicConstraintsValid = true
	cert, key := sign(t, template, nil, a)
	return &Authority{cert: cert, key: key, up: append(encode("CERTIFICATE", cert.Raw), a.up...)}
}

// PEM returns the certificate of a.
func (a *Authority) PEM() []byte { return encode("CERTIFICATE", a.cert.Raw) }

// Pool returns a as the one to trust.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// Issue returns a certificate called name, for localhost and 127.0.0.1, valid
// for an hour; each change may say otherwise.
func (a *Authority) Issue(t testing.TB, name string, change ...func(*x509.Certificate)) Pair {
	t.Helper()
	return a.IssueFor(t, nil, name, change...)
}

// IssueFor is Issue for a key that is there already.
func (a *Authority) IssueFor(t testing.TB, key crypto.Signer, name string, change ...func(*x509.Certificate)) Pair {
	t.Helper()
	template := template(name)
	template.DNSNames = []string{"localhost"}
	template.IPAddresses = loopback
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	for _, c := range change {
		c(template)
	}
	cert, made := sign(t, template, key, a)
	der, err := x509.MarshalPKCS8PrivateKey(made)
	if err != nil {
		t.Fatal(err)
	}
	return Pair{Cert: append(encode("CERTIFICATE", cert.Raw), a.up...), Key: encode("PRIVATE KEY", der)}
}

// Expired is a change that makes a certificate expired.
func Expired(c *x509.Certificate) {
	c.NotBefore, c.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
}

// TLS returns p as crypto/tls takes it.
func (p Pair) TLS(t testing.TB) tls.Certificate {
	t.Helper()
	pair, err := tls.X509KeyPair(p.Cert, p.Key)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

func template(name string) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62)) // it never fails
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
	}
}

// sign has by sign template for key; a fresh key and template itself where
// there are none.
func sign(t testing.TB, template *x509.Certificate, key crypto.Signer, by *Authority) (*x509.Certificate, crypto.Signer) {
	t.Helper()
	if key == nil {
		fresh, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		key = fresh
	}
	parent, signer := template, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

var loopback = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
