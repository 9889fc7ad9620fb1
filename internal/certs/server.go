package certs

import (
	"crypto/tls"

	"sidecar/internal/exchange"
)

// What a listener wants of its clients.
const (
	None     = "none"
	Optional = "optional"
	Require  = "require"
)

// Server is how a listener speaks TLS, 1.2 or later. Another content of its
// files counts for the next connections, without a restart; one that is broken
// changes nothing.
type Server struct {
	// CertFile holds the listener's certificate in PEM and, behind it, all that
	// lead to its CA, in order.
	CertFile string `yaml:"certFile" file:"read"`
	// KeyFile holds the certificate's key in PEM, not encrypted: RSA of at least
	// 2048 bits, ECDSA or Ed25519.
	KeyFile string `yaml:"keyFile" file:"secret"`
	// ClientCAFile holds the CAs of clients' certificates. Default none.
	ClientCAFile string `yaml:"clientCAFile,omitempty" file:"read"`
	// ClientAuth is what is wanted of clients: none, the default, does not ask
	// for a certificate; optional verifies one that is shown; require lets
	// nobody in without. The last two need ClientCAFile.
	ClientAuth string `yaml:"clientAuth"`
}

// SetDefaults fills c with what is not said.
func (c *Server) SetDefaults() { *c = Server{ClientAuth: None} }

// Validate reports every problem with c.
func (c *Server) Validate(report exchange.Report) {
	if c.CertFile == "" {
		report("certFile", "must be said: a file that holds the certificate")
	}
	if c.KeyFile == "" {
		report("keyFile", "must be said: a file that holds the certificate's key")
	}
	exchange.OneOf(report, "clientAuth", c.ClientAuth, None, Optional, Require)
	if c.Verifies() && c.ClientCAFile == "" {
		report("clientCAFile", "must name the CAs of clients, as clientAuth is "+c.ClientAuth)
	}
	if c.ClientAuth == None && c.ClientCAFile != "" {
		report("clientAuth", "must be optional or require, or clientCAFile does nothing, got none")
	}
}

// Verifies reports whether a client may prove itself by its certificate.
func (c *Server) Verifies() bool { return c.ClientAuth == Optional || c.ClientAuth == Require }

// Material reads the files that c names. Its error joins FieldErrors. c must
// be valid.
func (c *Server) Material(read func(name string) ([]byte, error)) (*Material, error) {
	r := &reader{read: read}
	config := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{r.pair(c.CertFile, c.KeyFile)}}
	if c.Verifies() {
		config.ClientCAs = r.pool("clientCAFile", c.ClientCAFile)
		config.ClientAuth = tls.VerifyClientCertIfGiven
		if c.ClientAuth == Require {
			config.ClientAuth = tls.RequireAndVerifyClientCert
		}
	}
	return r.material(config)
}
