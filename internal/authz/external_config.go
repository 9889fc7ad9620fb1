package authz

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"sidecar/internal/exchange"
)

// ExternalConfig is a decision point of yours, in the shape that forward-auth
// services, nginx's auth_request and Envoy's HTTP ext_authz have. It gets a GET
// without the body, and X-Forwarded-Method, -Proto, -Host, -Uri and -For,
// X-Request-Id and traceparent tell of the request. 2xx lets the request by;
// what else is below 500 is the client's answer: its status, its body up to
// 64KiB, and the fields that belong to it (Content-Type, WWW-Authenticate,
// Location, Set-Cookie, Retry-After). It is asked in shadow too, and the
// request waits for the answer. No redirect is followed.
type ExternalConfig struct {
	// URL is where the decision point is, http or https. What is asked is
	// asked with exactly this path.
	URL string `yaml:"url"`

	// Timeout is how long the request waits for the answer. 1ms to 30s;
	// default 200ms.
	Timeout time.Duration `yaml:"timeout"`

	// OnFailure is what holds when there is no answer, or one of 500 or more:
	// deny, the default, which is 503 authz_unavailable; or allow, which is
	// noted and counted as broken.
	OnFailure string `yaml:"onFailure"`

	// ForwardHeaders are the fields of the request that the decision point
	// sees. Default [Authorization].
	ForwardHeaders []string `yaml:"forwardHeaders"`

	// ToUpstream are the fields of a 2xx answer that are sent upstream. The
	// client's own copies never get there, on no route.
	ToUpstream []string `yaml:"toUpstream,omitempty"`

	// Cache remembers answers. Default none: every request is asked about.
	Cache *ExternalCacheConfig `yaml:"cache,omitempty"`
}

// ExternalCacheConfig is how the answers of a decision point are remembered:
// 2xx, 401 and 403, by all that it was told of the request (method, scheme,
// host, path and query, client, forwardHeaders). One that sets a cookie or says
// Cache-Control: no-store is not.
type ExternalCacheConfig struct {
	// For is how long an answer holds, whatever the decision point would say
	// by then. 100ms to 1h; default 10s.
	For time.Duration `yaml:"for"`

	// MaxEntries is how many answers are remembered. One of more than 1KiB
	// counts as several. 1 to 1000000; default 10000.
	MaxEntries int `yaml:"maxEntries"`
}

// SetDefaults fills c with what is not said.
func (c *ExternalConfig) SetDefaults() {
	*c = ExternalConfig{Timeout: 200 * time.Millisecond, OnFailure: Deny, ForwardHeaders: []string{"Authorization"}}
}

// SetDefaults fills c with what is not said.
func (c *ExternalCacheConfig) SetDefaults() {
	*c = ExternalCacheConfig{For: 10 * time.Second, MaxEntries: 10_000}
}

// Validate reports every problem with c.
func (c *ExternalConfig) Validate(report exchange.Report) {
	if problem := exchange.RemoteURL(c.URL); problem != "" {
		report("url", problem)
	}
	exchange.Between(report, "timeout", c.Timeout, time.Millisecond, 30*time.Second)
	exchange.OneOf(report, "onFailure", c.OnFailure, Deny, Allow)
	for i, name := range c.ForwardHeaders {
		field := fmt.Sprintf("forwardHeaders[%d]", i)
		exchange.HeaderName(report, field, name)
		if name := http.CanonicalHeaderKey(name); slices.Contains(ofMessage, name) || ownField(name) {
			report(field, fmt.Sprintf("must not be %s, which belongs to the message or is told in any case", name))
		}
	}
	for i, name := range c.ToUpstream {
		field := fmt.Sprintf("toUpstream[%d]", i)
		exchange.HeaderName(report, field, name)
		if name := http.CanonicalHeaderKey(name); slices.Contains(ofMessage, name) || ownField(name) || name == "Authorization" || name == "Cookie" {
			report(field, fmt.Sprintf("must not be %s: on every route the client's own would be taken away", name))
		}
	}
}

// Validate reports every problem with c.
func (c *ExternalCacheConfig) Validate(report exchange.Report) {
	exchange.Between(report, "for", c.For, 100*time.Millisecond, time.Hour)
	exchange.Range(report, "maxEntries", c.MaxEntries, 1, 1_000_000)
}

// Insecure reports whether what is asked, and the answer, can be read and
// changed on the way: plain http to another machine.
func (c *ExternalConfig) Insecure() bool {
	u, err := url.Parse(c.URL)
	return err == nil && u.Scheme == "http" && !exchange.Loopback(u.Hostname())
}

// ofMessage are fields that say how one message is sent, or where.
var ofMessage = []string{
	"Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Expect",
	"Content-Length", "Content-Encoding", "Content-Type", "Accept-Encoding", "Range", "Host", "Via",
}

// ownField reports whether the field called name is one that we set ourselves.
func ownField(name string) bool {
	return strings.HasPrefix(name, "X-Forwarded-") || name == requestIDField || name == traceParentField || name == "X-Real-Ip"
}
