package proxy

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"

	"sidecar/internal/certs"
	"sidecar/internal/exchange"
	"sidecar/internal/policy"
	"sidecar/internal/ratelimit"
)

// stored is all that makes a store's connections what they are.
type stored struct {
	Config   ratelimit.StoreConfig
	TLS      *certs.Client
	Digest   string // of the files of TLS
	Password string // its hash
}

// store returns the store called name; nil for none. Another content of its
// files has connections of its own.
func (b *builder) store(name string) *ratelimit.Store {
	if have, ok := object[*ratelimit.Store](b.next, exchange.Store, name); ok || name == "" || b.file.Offline() {
		return have // another policy counts there too
	}
	c := b.file.Stores[name]
	path := "stores." + name
	want := stored{Config: c.StoreConfig, TLS: c.TLS}
	config := b.storeTLS(path, c, &want)
	password, err := c.Secret(b.file.ReadFile)
	if err != nil {
		b.fail(path+".passwordFile", err)
	}
	if password != "" {
		sum := sha256.Sum256([]byte(password))
		want.Password = hex.EncodeToString(sum[:])
	}
	return take(b, exchange.Store, name, want, func() *ratelimit.Store {
		return ratelimit.NewStore(name, c.StoreConfig, password, config, b.options.tell)
	})
}

// storeTLS returns how c is called; nil for without TLS.
func (b *builder) storeTLS(path string, c *policy.Store, want *stored) *tls.Config {
	if c.TLS == nil && !c.UsesTLS() {
		return nil
	}
	files := c.TLS
	if files == nil {
		files = new(certs.Client)
	}
	m, err := files.Material(b.file.ReadFile)
	if err != nil {
		b.fail(path+".tls", err)
		return nil
	}
	want.Digest = m.Digest
	return m.TLS
}

// Stores returns the stores of rate limits that are in use, by name.
func (s *Snapshot) Stores() []*ratelimit.Store { return objects[*ratelimit.Store](s.state) }
