package authz

import (
	"context"
	"crypto/x509"
	"net/http"

	"sidecar/internal/exchange"
)

// byCertificate is the certificate of the TLS connection's other end.
type byCertificate struct{ *Authn }

// The scheme is not registered, since none asks for a certificate; without any
// a 401 would not be one.
func (byCertificate) challenge(*rejection) string { return `ClientCertificate realm="sidecar"` }

// prove believes the certificate only if the handshake has: what the other end
// merely sent (PeerCertificates) proves nothing.
func (c byCertificate) prove(_ context.Context, r *http.Request) (*verified, *rejection) {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 && len(r.TLS.VerifiedChains) == 0 {
		return nil, nil
	}
	if len(r.TLS.VerifiedChains) == 0 || len(r.TLS.VerifiedChains[0]) == 0 {
		return nil, badCertificate("the client certificate was not verified")
	}
	leaf := r.TLS.VerifiedChains[0][0]
	subject, why := subjectOf(leaf)
	if why != nil {
		return nil, why
	}
	p := &exchange.Principal{
		Subject: subject, Issuer: leaf.Issuer.String(), By: exchange.ByClientCertificate,
		Claims: map[string]any{"sub": subject}, Names: map[string]string{subjectName: "sub"},
	}
	return &verified{principal: p, forward: c.forwards(p)}, nil
}

// subjectOf returns whom a certificate speaks of: its URI, else its first DNS
// name, else its common name. An X.509-SVID has exactly one URI
// (https://github.com/spiffe/spiffe/blob/main/standards/X509-SVID.md#2-spiffe-id):
// of two nobody knows which is meant.
func subjectOf(leaf *x509.Certificate) (string, *rejection) {
	switch {
	case len(leaf.URIs) > 1:
		return "", badCertificate("the client certificate has more than one URI")
	case len(leaf.URIs) == 1:
		return leaf.URIs[0].String(), nil
	case len(leaf.DNSNames) > 0:
		return leaf.DNSNames[0], nil
	case leaf.Subject.CommonName != "":
		return leaf.Subject.CommonName, nil
	}
	return "", badCertificate("the client certificate names nobody: it has no URI, DNS name or common name")
}

func badCertificate(detail string) *rejection {
	return &rejection{reason: exchange.CertificateInvalid, detail: detail}
}
