package authz

import (
	"context"
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
	subject, err := exchange.SubjectOf(leaf)
	if err != nil {
		return nil, badCertificate(err.Error())
	}
	p := &exchange.Principal{
		Subject: subject, Issuer: leaf.Issuer.String(), By: exchange.ByClientCertificate,
		Claims: map[string]any{"sub": subject}, Names: map[string]string{subjectName: "sub"},
	}
	return &verified{principal: p, forward: c.forwards(p)}, nil
}

func badCertificate(detail string) *rejection {
	return &rejection{reason: exchange.CertificateInvalid, detail: detail}
}
