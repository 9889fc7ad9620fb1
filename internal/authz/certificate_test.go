package authz

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sidecar/internal/exchange"
)

// certificateOf returns a certificate that names these URIs, and shop.example
// and cn-shop as well.
func certificateOf(uris ...string) *x509.Certificate {
	c := &x509.Certificate{
		Subject:  pkix.Name{CommonName: "cn-shop"},
		Issuer:   pkix.Name{CommonName: "our CA"},
		DNSNames: []string{"shop.example", "other.example"},
	}
	for _, uri := range uris {
		c.URIs = append(c.URIs, must(url.Parse(uri)))
	}
	return c
}

// peer returns the state of a connection whose other end has proven that c is
// its certificate.
func peer(c *x509.Certificate) *tls.ConnectionState {
	return &tls.ConnectionState{PeerCertificates: []*x509.Certificate{c}, VerifiedChains: [][]*x509.Certificate{{c}}}
}

func TestClientCertificates(t *testing.T) {
	const workload = "spiffe://cluster.local/ns/jobs/sa/nightly"
	byDNS, byCN, nameless, posing := certificateOf(), certificateOf(), certificateOf(), certificateOf()
	byCN.DNSNames = nil
	posing.DNSNames, posing.Subject = nil, pkix.Name{CommonName: workload}
	nameless.DNSNames, nameless.Subject = nil, pkix.Name{Organization: []string{"shop"}}
	unverified := peer(certificateOf(workload))
	unverified.VerifiedChains = nil
	another := peer(certificateOf(workload))
	another.PeerCertificates = []*x509.Certificate{certificateOf("spiffe://cluster.local/root")}
	tests := []struct {
		name string
		tls  *tls.ConnectionState
		who  string
		want exchange.Reason
	}{
		{"a URI goes before all", peer(certificateOf(workload)), workload, ""},
		{"then the first DNS name", peer(byDNS), "shop.example", ""},
		{"then the common name", peer(byCN), "cn-shop", ""},
		{"what was verified, not what was sent", another, workload, ""},

		{"no TLS", nil, "", exchange.CredentialMissing},
		{"no certificate", &tls.ConnectionState{}, "", exchange.CredentialMissing},
		{"one that nobody has verified", unverified, "", exchange.CertificateInvalid},
		{"two URIs", peer(certificateOf(workload, workload)), "", exchange.CertificateInvalid},
		{"a common name that looks like a URI", peer(posing), "", exchange.CertificateInvalid},
		{"no name", peer(nameless), "", exchange.CertificateInvalid},
	}
	a := accepting(t, certificatesOnly)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, record := request("/")
			r.TLS = tt.tls
			err := a.Check(r)
			if tt.want != "" {
				if f := refusal(t, err); f.Reason != tt.want || record.Principal() != nil {
					t.Errorf("Check() = %v, principal %v; want %s and none", f, record.Principal(), tt.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := &exchange.Principal{
				Subject: tt.who, Issuer: "CN=our CA", By: exchange.ByClientCertificate,
				Claims: map[string]any{"sub": tt.who}, Names: map[string]string{"subject": "sub"},
			}
			if diff := cmp.Diff(want, record.Principal()); diff != "" {
				t.Errorf("principal (-want +got):\n%s", diff)
			}
		})
	}
}

// A rule on principals is all that a certificate meets.
func TestRulesOnCertificates(t *testing.T) {
	rules := New("rules", Config{Default: Deny, Rules: []RuleConfig{
		{Effect: Allow, When: When{Principals: []string{"spiffe://cluster.local/ns/jobs/sa/*"}}},
	}}, nil)
	for who, want := range map[string]bool{
		"spiffe://cluster.local/ns/jobs/sa/nightly": true,
		"spiffe://cluster.local/ns/shop/sa/nightly": false,
	} {
		r, _ := request("/")
		r.TLS = peer(certificateOf(who))
		if err := accepting(t, certificatesOnly).Check(r); err != nil {
			t.Fatal(err)
		}
		if got := rules.Check(r) == nil; got != want {
			t.Errorf("Check() allows %s: %v, want %v", who, got, want)
		}
	}
}

// A real handshake: net/http puts into r.TLS what we go by.
func TestACertificateOfARealHandshake(t *testing.T) {
	ca, caKey := issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: "our CA"}, IsCA: true, BasicConstraintsValid: true}, nil, nil)
	stranger, strangerKey := issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: "our CA"}, IsCA: true, BasicConstraintsValid: true}, nil, nil)
	workload := certificateOf("spiffe://cluster.local/ns/jobs/sa/nightly")
	workload.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	leaf, leafKey := issue(t, workload, ca, caKey)
	forged, forgedKey := issue(t, workload, stranger, strangerKey)

	pool := x509.NewCertPool()
	pool.AddCert(ca)
	a := accepting(t, certificatesOnly)
	tests := []struct {
		name  string
		asks  tls.ClientAuthType
		shows *tls.Certificate
		want  string // the subject, why there is none, or handshake
	}{
		{"a good one", tls.VerifyClientCertIfGiven, &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: leafKey}, "spiffe://cluster.local/ns/jobs/sa/nightly"},
		{"none", tls.VerifyClientCertIfGiven, nil, "credential_missing"},
		{"one of another CA", tls.VerifyClientCertIfGiven, &tls.Certificate{Certificate: [][]byte{forged.Raw}, PrivateKey: forgedKey}, "handshake"},
		{"one that the listener asks for and does not verify", tls.RequestClientCert, &tls.Certificate{Certificate: [][]byte{forged.Raw}, PrivateKey: forgedKey}, "certificate_invalid"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := "handshake"
			srv := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				record := &exchange.Record{}
				r = r.WithContext(exchange.With(r.Context(), record))
				if err := a.Check(r); err != nil {
					got = string(refusal(t, err).Reason)
					return
				}
				got = record.Principal().Subject
			}))
			srv.Config.ErrorLog = log.New(io.Discard, "", 0)
			srv.TLS = &tls.Config{ClientAuth: tt.asks, ClientCAs: pool}
			srv.StartTLS()
			defer srv.Close()
			client := srv.Client()
			if tt.shows != nil {
				// What the server's list of CAs leaves out is shown all the same.
				client.Transport.(*http.Transport).TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
					return tt.shows, nil
				}
			}
			if resp, err := client.Get(srv.URL); err == nil {
				resp.Body.Close()
			}
			if got != tt.want {
				t.Errorf("the server saw %q, want %q", got, tt.want)
			}
		})
	}
}

// issue returns c, signed by the CA that is given or else by itself.
func issue(t *testing.T, c, ca *x509.Certificate, caKey any) (*x509.Certificate, any) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signed := *c
	signed.SerialNumber = big.NewInt(time.Now().UnixNano())
	signed.NotBefore, signed.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	if ca == nil {
		ca, caKey = &signed, key
	}
	der, err := x509.CreateCertificate(rand.Reader, &signed, ca, key.Public(), caKey)
	if err != nil {
		t.Fatal(err)
	}
	return must(x509.ParseCertificate(der)), key
}
