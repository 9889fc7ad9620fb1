package policy

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"sidecar/internal/certs"
	"sidecar/internal/exchange"
	"sidecar/internal/ratelimit"
)

// Store is where several processes keep the buckets of rateLimit policies
// together: a Redis, or a service that speaks Envoy's rate limit protocol.
// While it cannot be asked, the policy's onStoreFailure holds: after three
// failures in a row no request waits for it any more, until an attempt beside
// the requests succeeds.
type Store struct {
	ratelimit.StoreConfig `yaml:",inline"`

	// Password is the one for Redis. Default none.
	Password Secret `yaml:"password,omitempty"`

	// TLS is how a Redis at rediss:// is called, and a service: where this is not
	// there, that is called in the clear. Default for a Redis: the system's CAs
	// are trusted, and no certificate is shown.
	TLS *certs.Client `yaml:"tls,omitempty"`
}

// Validate reports every problem with s.
func (s *Store) Validate(report exchange.Report) {
	s.StoreConfig.Validate(report)
	if !s.Password.IsZero() {
		switch {
		case s.IsService():
			report("password", "must not be there for rls: its protocol knows no password")
		case s.PasswordFile != "":
			report("passwordFile", "must not stand beside password")
		}
	}
	if s.TLS != nil && !s.IsService() && !s.UsesTLS() {
		report("tls", "must not be there unless redis is rediss://")
	}
}

// Secret returns the password for Redis; empty for none.
func (s *Store) Secret(read func(path string) ([]byte, error)) (string, error) {
	if s.PasswordFile == "" {
		return s.Password.Value(), nil
	}
	data, err := read(s.PasswordFile)
	if err != nil {
		return "", err
	}
	secret := string(exchange.TrimSecret(data))
	if secret == "" {
		return "", errors.New("holds no password")
	}
	return secret, nil
}

// stores checks that every policy can be counted in the store that it names.
func (w *walk) stores(f *File) {
	use := func(u Use) Ref[ratelimit.Config] { return u.RateLimit }
	for path, c := range ofKind(w, f, exchange.RateLimit, f.Policies.RateLimit, use) {
		if c.Store == "" {
			continue
		}
		report := func(field, problem string) { w.check(join(path, field), problem) }
		s, ok := f.Stores[c.Store]
		switch {
		case !ok && !w.isUnread("stores"):
			report("store", missing("store", c.Store, slices.Sorted(maps.Keys(f.Stores))))
		case !ok || s == nil || !w.sound("stores."+c.Store): // reported
		case s.IsService():
			c.ValidateService(report)
		default:
			c.ValidateShared(report)
		}
	}
}

// stores warns of stores that nobody asks, and of those on whose way somebody
// may listen.
func (ws *warnings) stores() {
	for _, name := range slices.Sorted(maps.Keys(ws.Stores)) {
		s, at := ws.Stores[name], "stores."+name
		ws.unused(at, "no policy that a route uses counts there")
		if s.TLS != nil && s.TLS.InsecureSkipVerify {
			ws.warn(at+".tls.insecureSkipVerify", "whoever is on the way may be the store: its certificate is not looked at")
		}
		secret := !s.Password.IsZero() || s.PasswordFile != ""
		if secret && !s.UsesTLS() && !exchange.Loopback(s.Host()) {
			ws.warn(at+".redis", fmt.Sprintf("should be %s: who is on the way to %s can read the password",
				strings.Replace(s.RedisURL, "redis:", "rediss:", 1), s.Host()))
		}
	}
}
