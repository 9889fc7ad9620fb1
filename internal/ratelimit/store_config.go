package ratelimit

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"sidecar/internal/exchange"
)

// StoreConfig is where several processes keep the buckets of rateLimit policies
// together: a Redis, or a service that speaks Envoy's rate limit protocol.
type StoreConfig struct {
	Line int `yaml:"-"`

	// RedisURL is a Redis of version 5 or later, or what speaks like it:
	// redis://HOST:PORT/DATABASE, or rediss:// for TLS. A user may stand before
	// the host, and no password. Not beside Service; one of both must be there.
	RedisURL string `yaml:"redis,omitempty"`

	// Prefix begins the name of every key in Redis. Services that share a Redis
	// and not their limits need one each. Default sidecar.
	Prefix string `yaml:"prefix,omitempty"`

	// PasswordFile holds the password for Redis; trailing line ends are not part
	// of it. Default none.
	PasswordFile string `yaml:"passwordFile,omitempty" file:"secret"`

	// Service is the HOST:PORT of a rate limit service that speaks Envoy's protocol
	// (envoy.service.ratelimit.v3). It has limits of its own for what the policy
	// counts by, which is told so: ip as remote_address (IPv6 as its /64),
	// principal as issuer, if there is one, and principal, all else as it stands
	// in key, such as claim:tenant; no key as generic_key with the policy's name,
	// and a request that has none of the keys as generic_key with none. What it
	// has counted cannot be given back, so it is asked last.
	Service string `yaml:"rls,omitempty"`

	// Domain is the domain that the service is asked about.
	Domain string `yaml:"domain,omitempty"`

	// Timeout is how long a request waits for the answer. 1ms to 5s; default
	// 50ms.
	Timeout time.Duration `yaml:"timeout"`
}

// usualPrefix begins the names of keys where nothing is said.
const usualPrefix = "sidecar"

// SetDefaults fills c with what is not said.
func (c *StoreConfig) SetDefaults() { *c = StoreConfig{Line: c.Line, Timeout: 50 * time.Millisecond} }

// Validate reports every problem with c.
func (c *StoreConfig) Validate(report exchange.Report) {
	exchange.Between(report, "timeout", c.Timeout, time.Millisecond, 5*time.Second)
	switch {
	case c.RedisURL == "" && c.Service == "":
		report("", "must have redis or rls, which say where it is")
	case c.RedisURL != "" && c.Service != "":
		report("rls", "must not stand beside redis: a store is one or the other")
	case c.RedisURL != "":
		c.validateRedis(report)
	default:
		c.validateService(report)
	}
}

func (c *StoreConfig) validateRedis(report exchange.Report) {
	if _, problem := parseRedis(c.RedisURL); problem != "" {
		report("redis", problem)
	}
	if c.Domain != "" {
		report("domain", "must not be there for redis: only a service has domains")
	}
	if strings.ContainsFunc(c.Prefix, func(r rune) bool { return r <= ' ' || r > '~' || r == '{' || r == '}' }) || len(c.Prefix) > 64 {
		report("prefix", fmt.Sprintf("must be at most 64 visible ASCII characters without braces, got %q", c.Prefix))
	}
}

func (c *StoreConfig) validateService(report exchange.Report) {
	host, port, err := net.SplitHostPort(c.Service)
	if n, bad := strconv.ParseUint(port, 10, 16); err != nil || host == "" || strings.ContainsAny(host, "/@") || bad != nil || n == 0 {
		report("rls", fmt.Sprintf("must be HOST:PORT, got %q", c.Service))
	}
	if c.Domain == "" {
		report("", "must have a domain: the one that the service has limits for")
	}
	if c.PasswordFile != "" {
		report("passwordFile", "must not be there for rls: its protocol knows no password")
	}
	if c.Prefix != "" {
		report("prefix", "must not be there for rls: its domain tells services apart")
	}
}

// IsService reports whether the store has limits of its own.
func (c *StoreConfig) IsService() bool { return c.Service != "" }

// UsesTLS reports whether a Redis is called by TLS.
func (c *StoreConfig) UsesTLS() bool {
	return strings.HasPrefix(strings.ToLower(c.RedisURL), "rediss:")
}

// Host returns the name of the machine that the store is on.
func (c *StoreConfig) Host() string {
	if c.IsService() {
		host, _, _ := net.SplitHostPort(c.Service)
		return host
	}
	at, _ := parseRedis(c.RedisURL)
	host, _, _ := net.SplitHostPort(at.address)
	return host
}

// redisAt is what a redis URL says.
type redisAt struct {
	address, user string
	database      int
}

// parseRedis returns what raw says, or what is wrong with it. Nothing of raw is
// repeated where a password may be in it.
func parseRedis(raw string) (at redisAt, problem string) {
	const want = "must be redis://HOST:PORT/DATABASE or rediss://..."
	got := ""
	if !strings.ContainsAny(raw, "@?#=,") {
		got = fmt.Sprintf(", got %q", raw)
	}
	u, err := url.Parse(raw)
	if err != nil {
		return at, want + ", and does not parse"
	}
	if _, has := u.User.Password(); has {
		return at, want + ", without a password: a secret must not stand in the policy file; say password: ${REDIS_PASSWORD}, or passwordFile"
	}
	database := strings.Trim(u.Path, "/")
	if database == "" {
		database = "0"
	}
	at = redisAt{address: u.Host, user: u.User.Username()}
	at.database, err = strconv.Atoi(database)
	switch {
	case u.Scheme != "redis" && u.Scheme != "rediss", u.Hostname() == "", err != nil || at.database < 0,
		u.RawQuery != "" || u.Fragment != "":
		return at, want + got
	}
	port := u.Port()
	if port == "" {
		port = "6379"
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return at, want + ", with a port of 1 to 65535" + got
	}
	at.address = net.JoinHostPort(u.Hostname(), port)
	return at, ""
}
