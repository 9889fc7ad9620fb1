// Package certs makes TLS out of files: of the certificates that a listener
// shows and demands, and of those that a call to an upstream shows and trusts.
//
// It takes contents and gives tls.Configs; when files are read again, and who
// uses what they held, is not its business. What it accepts a peer can use: a
// key that fits its certificate, a chain in order, nothing weak. What has
// expired it accepts and tells: the one before is no better.
package certs

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"sidecar/internal/exchange"
)

// Material is what files held when they were read. It never changes.
type Material struct {
	// TLS is for one side of a connection, TLS 1.2 at least, with Go's choice
	// of ciphers. Whoever uses it says in a clone which protocols it speaks.
	TLS *tls.Config
	// Files are those that hold certificates.
	Files []File
	// Digest is the same for the same contents.
	Digest string
}

// File is a file of certificates.
type File struct {
	Key string // that names it in the policy

	// From and To are when all its certificates are valid.
	From, To time.Time
}

// Warnings returns what a peer will probably object to at that time.
func (m *Material) Warnings(now time.Time) []*exchange.FieldError {
	var all []*exchange.FieldError
	for _, f := range m.Files {
		switch {
		case now.After(f.To):
			all = append(all, &exchange.FieldError{Field: f.Key, Problem: "has expired, at " + f.To.UTC().Format(time.RFC3339)})
		case now.Before(f.From):
			all = append(all, &exchange.FieldError{Field: f.Key, Problem: "is not valid before " + f.From.UTC().Format(time.RFC3339)})
		}
	}
	return all
}

// reader reads the files that a section names, and collects what is wrong.
type reader struct {
	read   func(name string) ([]byte, error)
	files  []File
	sum    []byte
	errors []error
}

func (r *reader) fail(key, problem string) {
	r.errors = append(r.errors, &exchange.FieldError{Field: key, Problem: problem})
}

// content returns what the file of key holds, or nil.
func (r *reader) content(key, name string) []byte {
	data, err := r.read(name)
	if err != nil {
		r.fail(key, "cannot be read: "+err.Error())
		return nil
	}
	sum := sha256.Sum256(data)
	r.sum = append(append(r.sum, key...), sum[:]...)
	return data
}

// certificates returns those in the file of key, at least one, or nil.
func (r *reader) certificates(key, name string) []*x509.Certificate {
	data := r.content(key, name)
	if data == nil {
		return nil
	}
	all, err := parseCertificates(data)
	if err != nil {
		r.fail(key, err.Error())
		return nil
	}
	f := File{Key: key, From: all[0].NotBefore, To: all[0].NotAfter}
	for _, c := range all[1:] {
		if c.NotBefore.After(f.From) {
			f.From = c.NotBefore
		}
		if c.NotAfter.Before(f.To) {
			f.To = c.NotAfter
		}
	}
	r.files = append(r.files, f)
	return all
}

// pool returns the certificates in the file of key as those to trust.
func (r *reader) pool(key, name string) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, c := range r.certificates(key, name) {
		pool.AddCert(c)
	}
	return pool
}

// pair returns a certificate with its chain and its key.
func (r *reader) pair(certFile, keyFile string) tls.Certificate {
	chain := r.certificates("certFile", certFile)
	if err := checkChain(chain); err != nil {
		r.fail("certFile", err.Error())
	}
	data := r.content("keyFile", keyFile)
	if data == nil || chain == nil {
		return tls.Certificate{}
	}
	key, err := parseKey(data)
	if err != nil {
		r.fail("keyFile", err.Error())
		return tls.Certificate{}
	}
	if !fits(key, chain[0]) {
		r.fail("keyFile", fmt.Sprintf("must be the key of the first certificate in certFile, %q, and is another", nameOf(chain[0])))
	}
	pair := tls.Certificate{PrivateKey: key, Leaf: chain[0]}
	for _, c := range chain {
		pair.Certificate = append(pair.Certificate, c.Raw)
	}
	return pair
}

// material returns config with what was read, or all that is wrong.
func (r *reader) material(config *tls.Config) (*Material, error) {
	if len(r.errors) > 0 {
		return nil, errors.Join(r.errors...)
	}
	sum := sha256.Sum256(r.sum)
	return &Material{TLS: config, Files: r.files, Digest: hex.EncodeToString(sum[:])}, nil
}
