package proxy

import (
	"crypto/tls"
	"maps"
	"slices"
	"time"

	"sidecar/internal/certs"
	"sidecar/internal/policy"
	"sidecar/internal/upstream"
)

// Certificate is a file of certificates that is in use: of a listener (data,
// telemetry, admin) or of an upstream.
type Certificate struct {
	Listener, Upstream string
	certs.File
}

// listeners reads the certificates of listeners. One that has lost its section
// keeps what it had: it speaks TLS until a restart.
func (b *builder) listeners(old *Snapshot) map[string]*certs.Material {
	all := map[string]*certs.Material{}
	if old != nil {
		maps.Copy(all, old.listeners)
	}
	if b.file.Offline() {
		return all
	}
	for _, l := range b.file.Server.Listeners() {
		if l.TLS == nil {
			continue
		}
		m, err := l.TLS.Material(b.file.ReadFile)
		if err != nil {
			b.fail("server."+l.TLSKey, err)
			continue
		}
		all[l.Name] = m
	}
	return all
}

// dialed is all that makes an upstream's connections what they are.
type dialed struct {
	Config upstream.Config
	TLS    *certs.Client
	Digest string // of the files
}

// upstream returns the upstream called name. Another content of its files has
// connections of its own; those of the one before end with their calls.
func (b *builder) upstream(name string) *upstream.Upstream {
	if have, ok := object[*upstream.Upstream](b.next, pool, name); ok {
		return have // another route goes there too
	}
	c := b.file.Upstreams[name]
	d := dialed{Config: c.Config, TLS: c.TLS}
	var config *tls.Config
	if c.TLS != nil && !b.file.Offline() {
		m, err := c.TLS.Material(b.file.ReadFile)
		if err != nil {
			b.fail("upstreams."+name+".tls", err)
			m = &certs.Material{}
		}
		b.clients[name] = m
		d.Digest, config = m.Digest, m.TLS
	}
	return take(b, pool, name, d, func() *upstream.Upstream {
		if b.options.Transport != nil { // nobody calls it, so nobody asks how it is
			return upstream.New(name, c.Config.Unasked(), config, b.options.Observers.Event)
		}
		return upstream.New(name, c.Config, config, b.options.Observers.Event)
	})
}

// TLS returns how the listener of that name (data, telemetry, admin) speaks to
// who connects now; nil if without TLS. The caller must not change it.
func (s *Snapshot) TLS(listener string) *tls.Config {
	if m := s.listeners[listener]; m != nil {
		return m.TLS
	}
	return nil
}

// Certificates returns all that are in use.
func (s *Snapshot) Certificates() []Certificate {
	var all []Certificate
	for _, listener := range slices.Sorted(maps.Keys(s.listeners)) {
		for _, f := range s.listeners[listener].Files {
			all = append(all, Certificate{Listener: listener, File: f})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.clients)) {
		for _, f := range s.clients[name].Files {
			all = append(all, Certificate{Upstream: name, File: f})
		}
	}
	return all
}

// Unverified returns the names of the upstreams whose certificates are not
// looked at.
func (s *Snapshot) Unverified() (names []string) {
	for _, name := range slices.Sorted(maps.Keys(s.clients)) {
		if c := s.clients[name].TLS; c != nil && c.InsecureSkipVerify {
			names = append(names, name)
		}
	}
	return names
}

// Warnings returns what is wrong with the content of files and yet taken, such
// as a certificate that has expired.
func (s *Snapshot) Warnings() policy.Problems {
	var all policy.Problems
	now := time.Now()
	warn := func(path string, m *certs.Material) {
		for _, w := range m.Warnings(now) {
			all = append(all, s.file.Problem(path+"."+w.Field, "warning: "+w.Problem))
		}
	}
	for _, l := range s.file.Server.Listeners() {
		if m := s.listeners[l.Name]; m != nil {
			warn("server."+l.TLSKey, m)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.clients)) {
		warn("upstreams."+name+".tls", s.clients[name])
	}
	return all
}
