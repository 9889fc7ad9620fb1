package certs_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sidecar/internal/certs"
	"sidecar/internal/certs/certstest"
	"sidecar/internal/exchange"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// files are what a section finds.
type files map[string][]byte

func (f files) read(name string) ([]byte, error) {
	data, ok := f[name]
	if !ok {
		return nil, errors.New("no such file")
	}
	return data, nil
}

// problems returns what is wrong, a line each.
func problems(err error) (lines []string) {
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		for _, err := range joined.Unwrap() {
			lines = append(lines, err.Error())
		}
		return lines
	}
	if err != nil {
		lines = []string{"not a FieldError: " + err.Error()}
	}
	return lines
}

func TestWhatAListenerShowsMustBeWhole(t *testing.T) {
	root := certstest.New(t, "root")
	intermediate := root.Below(t, "intermediate")
	good, other := intermediate.Issue(t, "here"), intermediate.Issue(t, "there")
	leaf, above := cut(t, good.Cert)
	keyed := func(key crypto.Signer) certstest.Pair { return root.IssueFor(t, key, "here") }
	garbage := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("garbage")})
	tests := []struct {
		name      string
		cert, key []byte
		want      string // empty: it is good
	}{
		{"a certificate with its chain", good.Cert, good.Key, ""},
		{"one without, where the client knows it", leaf, good.Key, ""},
		{"a key beside the certificate", slices.Concat(good.Cert, good.Key), good.Key, ""},
		{"a P-384 key", keyed(ec(t, elliptic.P384())).Cert, nil, ""},
		{"the chain up to its root", slices.Concat(good.Cert, root.PEM()), good.Key, ""},
		{"the chain the wrong way round", slices.Concat(above, leaf), good.Key, `certFile: must hold the chain in order, from its own certificate up: number 1, "intermediate", is not signed by number 2, "here"`},
		{"a chain with a gap", slices.Concat(leaf, root.PEM()), good.Key, `number 1, "here", is not signed by number 2, "root"`},
		{"the key of another", good.Cert, other.Key, `keyFile: must be the key of the first certificate in certFile, "here", and is another`},
		{"an encrypted key", good.Cert, pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("x")}), "keyFile: must hold a key that is not encrypted"},
		{"a key encrypted as it was once done", good.Cert, []byte("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\naGk=\n-----END RSA PRIVATE KEY-----\n"), "keyFile: must hold a key that is not encrypted"},
		{"no key", good.Cert, good.Cert, "keyFile: must hold a private key in PEM, and has none"},
		{"a key that is garbage", good.Cert, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("hunter2")}), "keyFile: must hold a private key, and its PRIVATE KEY does not parse"},
		{"a public key", good.Cert, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte("x")}), "keyFile: must hold a private key in PEM, and has none"},
		{"no certificate", []byte("hello"), good.Key, "certFile: must hold certificates in PEM, and has none"},
		{"an empty file", nil, good.Key, "certFile: must hold certificates in PEM, and has none"},
		{"a certificate that is garbage", slices.Concat(leaf, garbage), good.Key, "certFile: must hold certificates: number 2 is none"},
		{"half a certificate, as it is being written", leaf[:len(leaf)/2], good.Key, "certFile: must hold certificates in PEM, and has none"},
		{"a short RSA key", keyed(weak(t)).Cert, nil, "must have an RSA key of at least 2048 bits, got 1024"},
		{"an ECDSA key that TLS 1.3 does not know", keyed(ec(t, elliptic.P224())).Cert, nil, "must have an ECDSA key on P-256, P-384 or P-521, got P-224"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := files{"crt": tt.cert, "key": tt.key}
			if tt.cert == nil {
				f["crt"] = []byte{}
			}
			if tt.key == nil {
				f["key"] = keyOf(t, tt.cert)
			}
			m, err := (&certs.Server{CertFile: "crt", KeyFile: "key", ClientAuth: certs.None}).Material(f.read)
			got := problems(err)
			switch {
			case tt.want == "" && (len(got) > 0 || m == nil):
				t.Errorf("problems: %q, want none", got)
			case tt.want != "" && (len(got) == 0 || !strings.Contains(got[0], tt.want)):
				t.Errorf("problems: %q, want %q", got, tt.want)
			case strings.Contains(strings.Join(got, ""), "hunter2"):
				t.Errorf("problems tell of the key: %q", got)
			}
		})
	}
}

// keys are those that were made, by their certificates.
var keys = map[string]crypto.Signer{}

func keyOf(t *testing.T, cert []byte) []byte {
	t.Helper()
	block, _ := pem.Decode(cert)
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	public, _ := x509.MarshalPKIXPublicKey(c.PublicKey)
	der, err := x509.MarshalPKCS8PrivateKey(keys[string(public)])
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func remember(t *testing.T, key crypto.Signer, err error) crypto.Signer {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	keys[string(public)] = key
	return key
}

func ec(t *testing.T, curve elliptic.Curve) crypto.Signer {
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	return remember(t, key, err)
}

func weak(t *testing.T) crypto.Signer {
	t.Setenv("GODEBUG", "rsa1024min=0")
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	return remember(t, key, err)
}

// cut returns the first certificate, and those behind it.
func cut(t *testing.T, chain []byte) (leaf, above []byte) {
	t.Helper()
	block, rest := pem.Decode(chain)
	return pem.EncodeToMemory(block), rest
}

func TestKeysOfEachKindAreTaken(t *testing.T) {
	root := certstest.New(t, "root")
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, _ := ed25519.GenerateKey(rand.Reader)
	ecKey := ec(t, elliptic.P256()).(*ecdsa.PrivateKey)
	sec1, _ := x509.MarshalECPrivateKey(ecKey)
	tests := []struct {
		name, block string
		key         crypto.Signer
		der         []byte
	}{
		{"RSA, PKCS #1", "RSA PRIVATE KEY", rsaKey, x509.MarshalPKCS1PrivateKey(rsaKey)},
		{"RSA, PKCS #8", "PRIVATE KEY", rsaKey, pkcs8(t, rsaKey)},
		{"ECDSA, SEC 1", "EC PRIVATE KEY", ecKey, sec1},
		{"Ed25519", "PRIVATE KEY", edKey, pkcs8(t, edKey)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := files{
				"crt": root.IssueFor(t, tt.key, "here").Cert,
				"key": slices.Concat([]byte("-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"),
					pem.EncodeToMemory(&pem.Block{Type: tt.block, Bytes: tt.der})),
			}
			if _, err := (&certs.Server{CertFile: "crt", KeyFile: "key"}).Material(f.read); err != nil {
				t.Errorf("problems: %q, want none", problems(err))
			}
		})
	}
}

func pkcs8(t *testing.T, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestEveryBrokenFileIsTold(t *testing.T) {
	f := files{"ca": []byte("x"), "crt": []byte("x")}
	_, err := (&certs.Server{CertFile: "crt", KeyFile: "gone", ClientCAFile: "ca", ClientAuth: certs.Require}).Material(f.read)
	want := []string{
		"certFile: must hold certificates in PEM, and has none",
		"keyFile: cannot be read: no such file",
		"clientCAFile: must hold certificates in PEM, and has none",
	}
	if got := problems(err); !slices.Equal(got, want) {
		t.Errorf("problems: %q, want %q", got, want)
	}
}

func TestSections(t *testing.T) {
	server := func(change func(*certs.Server)) any {
		c := &certs.Server{}
		c.SetDefaults()
		c.CertFile, c.KeyFile = "crt", "key"
		change(c)
		return c
	}
	tests := []struct {
		name    string
		section any
		want    string
	}{
		{"a certificate", server(func(*certs.Server) {}), ""},
		{"no certificate", server(func(c *certs.Server) { c.CertFile = "" }), "certFile: must be said: a file that holds the certificate"},
		{"no key", server(func(c *certs.Server) { c.KeyFile = "" }), "keyFile: must be said: a file that holds the certificate's key"},
		{"clients of a CA", server(func(c *certs.Server) { c.ClientAuth, c.ClientCAFile = "require", "ca" }), ""},
		{"clients of no CA", server(func(c *certs.Server) { c.ClientAuth = "optional" }), "clientCAFile: must name the CAs of clients, as clientAuth is optional"},
		{"a CA for nothing", server(func(c *certs.Server) { c.ClientCAFile = "ca" }), "clientAuth: must be optional or require, or clientCAFile does nothing, got none"},
		{"another word", server(func(c *certs.Server) { c.ClientAuth = "always" }), `clientAuth: must be one of [none optional require], got "always"`},
		{"an upstream of its own CA", &certs.Client{CAFile: "ca", ServerName: "orders"}, ""},
		{"a certificate without its key", &certs.Client{CertFile: "crt"}, "keyFile: must name the key of certFile"},
		{"a key without its certificate", &certs.Client{KeyFile: "key"}, "certFile: must name the certificate of keyFile"},
		{"a CA that nobody asks", &certs.Client{CAFile: "ca", InsecureSkipVerify: true}, "insecureSkipVerify: must not stand beside caFile: nothing would be verified by it"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			tt.section.(interface{ Validate(exchange.Report) }).Validate(func(field, problem string) { got = append(got, field+": "+problem) })
			if strings.Join(got, "\n") != tt.want {
				t.Errorf("problems: %q, want %q", got, tt.want)
			}
		})
	}
}

func TestTheFirstCertificateToExpireCounts(t *testing.T) {
	root := certstest.New(t, "root")
	soon := time.Now().Add(10 * time.Minute).Truncate(time.Second)
	short := root.Issue(t, "short", func(c *x509.Certificate) { c.NotAfter = soon })
	expired := root.Issue(t, "expired", certstest.Expired)
	f := files{
		"crt": slices.Concat(short.Cert, root.PEM()), "key": short.Key,
		"old": expired.Cert, "oldkey": expired.Key, "ca": root.PEM(),
	}
	m, err := (&certs.Server{CertFile: "crt", KeyFile: "key", ClientCAFile: "ca", ClientAuth: certs.Optional}).Material(f.read)
	if err != nil {
		t.Fatal(problems(err))
	}
	if len(m.Files) != 2 || m.Files[0].Key != "certFile" || !m.Files[0].To.Equal(soon) || m.Files[1].Key != "clientCAFile" {
		t.Errorf("files %v, want that of the certificate, until %v, and that of the CA", m.Files, soon)
	}
	if got := m.Warnings(time.Now()); len(got) != 0 {
		t.Errorf("warnings: %v, want none", got)
	}
	if got := m.Warnings(soon.Add(time.Second)); len(got) != 1 || !strings.HasPrefix(got[0].Error(), "certFile: has expired, at ") {
		t.Errorf("warnings after that: %v, want that it has expired", got)
	}
	if got := m.Warnings(time.Now().Add(-time.Hour)); len(got) != 2 || !strings.HasPrefix(got[0].Error(), "certFile: is not valid before ") {
		t.Errorf("warnings of a clock that is behind: %v, want that they are not valid yet", got)
	}
	// What has expired is a warning: the one before is no better.
	if _, err := (&certs.Client{CertFile: "old", KeyFile: "oldkey"}).Material(f.read); err != nil {
		t.Errorf("an expired certificate: %q, want it taken", problems(err))
	}
}

func TestTheDigestIsThatOfTheContents(t *testing.T) {
	root := certstest.New(t, "root")
	a, b := root.Issue(t, "a"), root.Issue(t, "b")
	digest := func(f files, c certs.Client) string {
		t.Helper()
		m, err := c.Material(f.read)
		if err != nil {
			t.Fatal(problems(err))
		}
		return m.Digest
	}
	c := certs.Client{CAFile: "ca", CertFile: "crt", KeyFile: "key"}
	first := digest(files{"ca": root.PEM(), "crt": a.Cert, "key": a.Key}, c)
	if again := digest(files{"ca": root.PEM(), "crt": a.Cert, "key": a.Key}, c); again != first {
		t.Error("the same contents have another digest")
	}
	if other := digest(files{"ca": root.PEM(), "crt": b.Cert, "key": b.Key}, c); other == first {
		t.Error("another certificate has the same digest")
	}
}

// Whatever is in a file, there are problems or something to show.
func FuzzMaterial(f *testing.F) {
	good := certstest.New(f, "root").Issue(f, "here")
	f.Add(good.Cert, good.Key)
	f.Add(slices.Concat(good.Cert, good.Cert), slices.Concat(good.Cert, good.Key))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"), []byte("-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, cert, key []byte) {
		all := files{"crt": cert, "key": key}
		m, err := (&certs.Server{CertFile: "crt", KeyFile: "key"}).Material(all.read)
		if err == nil && (len(m.TLS.Certificates[0].Certificate) == 0 || m.TLS.Certificates[0].PrivateKey == nil || len(m.Files) != 1) {
			t.Errorf("taken, and nothing to show: %+v", m)
		}
		if err != nil && len(problems(err)) == 0 {
			t.Errorf("the error tells nothing: %v", err)
		}
	})
}
