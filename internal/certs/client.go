package certs

import (
	"crypto/tls"

	"sidecar/internal/exchange"
)

// Client is how an upstream is called by TLS, 1.2 or later.
type Client struct {
	// CAFile holds the CAs, or the certificate itself, that the upstream is
	// trusted by, in PEM. Default: those of the system.
	CAFile string `yaml:"caFile,omitempty" file:"read"`
	// CertFile and KeyFile are the certificate that is shown to the upstream,
	// with its chain, and its key, both in PEM. Default none.
	CertFile string `yaml:"certFile,omitempty" file:"read"`
	KeyFile  string `yaml:"keyFile,omitempty" file:"secret"`
	// ServerName is the name that the upstream's certificate must be for, and
	// that it is asked for. Default: the endpoint's host.
	ServerName string `yaml:"serverName,omitempty"`
	// InsecureSkipVerify believes any certificate, so that whoever is on the way
	// may be the upstream. It is for trying things out: check, the log and
	// /healthz speak of it. Default false.
	InsecureSkipVerify bool `yaml:"insecureSkipVerify,omitempty"`
}

// Validate reports every problem with c.
func (c *Client) Validate(report exchange.Report) {
	if c.CertFile != "" && c.KeyFile == "" {
		report("keyFile", "must name the key of certFile")
	}
	if c.KeyFile != "" && c.CertFile == "" {
		report("certFile", "must name the certificate of keyFile")
	}
	if c.InsecureSkipVerify && c.CAFile != "" {
		report("insecureSkipVerify", "must not stand beside caFile: nothing would be verified by it")
	}
}

// Material reads the files that c names. Its error joins FieldErrors. c must
// be valid.
func (c *Client) Material(read func(name string) ([]byte, error)) (*Material, error) {
	r := &reader{read: read}
	config := &tls.Config{
		MinVersion: tls.VersionTLS12, ServerName: c.ServerName, InsecureSkipVerify: c.InsecureSkipVerify,
	}
	if c.CAFile != "" {
		config.RootCAs = r.pool("caFile", c.CAFile)
	}
	if c.CertFile != "" {
		config.Certificates = []tls.Certificate{r.pair(c.CertFile, c.KeyFile)}
	}
	return r.material(config)
}
