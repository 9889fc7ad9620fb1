package exchange

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
)

// SubjectOf returns whom a certificate speaks of, for whoever has verified it:
// its URI, else its first DNS name, else its common name. An X.509-SVID has
// exactly one URI
// (https://github.com/spiffe/spiffe/blob/main/standards/X509-SVID.md#2-spiffe-id):
// of two nobody knows which is meant. Only a URI may look like one, and it must:
// a CA that lets anybody choose a common name gives nobody another's identity.
// The error is fit to be told to the certificate's holder.
func SubjectOf(c *x509.Certificate) (string, error) {
	kind, name := "common name", c.Subject.CommonName
	switch {
	case len(c.URIs) > 1:
		return "", errors.New("the client certificate has more than one URI")
	case len(c.URIs) == 1 && !c.URIs[0].IsAbs():
		return "", errors.New("the client certificate has a URI without a scheme")
	case len(c.URIs) == 1:
		return c.URIs[0].String(), nil
	case len(c.DNSNames) > 0:
		kind, name = "DNS name", c.DNSNames[0]
	}
	switch {
	case name == "":
		return "", errors.New("the client certificate names nobody: it has no URI, DNS name or common name")
	case strings.Contains(name, ":"):
		return "", fmt.Errorf("the client certificate has a %s that looks like a URI", kind)
	}
	return name, nil
}
