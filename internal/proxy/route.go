package proxy

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"sidecar/internal/authz"
	"sidecar/internal/exchange"
	"sidecar/internal/policy"
)

// route is where a request goes, and through what.
type route struct {
	name     string
	upstream string
	match    match
	gates    []gate
	layers   []layer // above the leg
	leg      []layer
	fallback *fallback // nil: there is none
	seam     http.Handler

	patience time.Duration // with a client whose body a gate reads
	longest  time.Duration // an exchange may take; 0: as long as it likes
}

// serve takes r through its gates and on to the upstream.
func (rt *route) serve(w http.ResponseWriter, r *http.Request) {
	g := guardOf(r)
	if err := g.arrive(rt.longest); err != nil {
		answer(w, r, err)
		return
	}
	body := &g.x.body
	body.within(g.limit.within(rt.patience))
	err := pass(rt.gates, r)
	body.within(0)
	if err != nil {
		answer(w, r, err)
		return
	}
	rt.seam.ServeHTTP(w, r)
}

// route returns the first route that takes r, or why r is taken nowhere. A path
// that servers read in several ways must go one way in all of them: it would
// else get past the policies of the route that the upstream takes it for.
func (s *Snapshot) route(r *http.Request) (*route, error) {
	if err := s.forwardable(r); err != nil {
		return nil, err
	}
	rt := s.take(r, r.URL.Path)
	for _, path := range authz.Readings(r.URL) {
		if path != "" && s.take(r, path) != rt {
			return nil, &exchange.Refusal{
				Kind: exchange.ByProxy, Reason: exchange.PathAmbiguous,
				Detail: "the path can be read in two ways, which take different routes",
			}
		}
	}
	if rt == nil {
		return nil, &exchange.Refusal{Kind: exchange.ByRoute, Policy: exchange.NoRouteName, Reason: exchange.NoRoute}
	}
	return rt, nil
}

// take returns the first route that takes r, its path read as path; nil if none
// does.
func (s *Snapshot) take(r *http.Request, path string) *route {
	for _, rt := range s.routes {
		if rt.match.takes(r, path) {
			return rt
		}
	}
	return nil
}

// forwardable refuses what no rule shall ever see.
func (s *Snapshot) forwardable(r *http.Request) error {
	refuse := func(reason exchange.Reason, detail string) error {
		return &exchange.Refusal{Kind: exchange.ByProxy, Reason: reason, Detail: detail}
	}
	switch {
	case r.Method == http.MethodConnect || r.Method == http.MethodTrace,
		r.Method != strings.ToUpper(r.Method): // some servers take delete for DELETE
		return &exchange.Refusal{
			Kind: exchange.ByProxy, Reason: exchange.MethodNotAllowed, Detail: r.Method + " is never forwarded",
			Header: http.Header{"Allow": {"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"}},
		}
	case !normalizeTarget(r):
		return refuse(exchange.PathAmbiguous, "the request target is neither a path nor an http URL")
	// HTTP/2 can carry one. In HTTP/1 it ends the target, for many.
	case strings.Contains(r.RequestURI, " "):
		return refuse(exchange.PathAmbiguous, "the request target holds a space")
	case s.strictPaths:
		if problem := ambiguity(r); problem != "" {
			return refuse(exchange.PathAmbiguous, problem)
		}
		r.URL.RawPath = "" // what is left of encodings only spells the same in another way
	}
	if hasVia(r.Header, s.pseudonym) {
		return refuse(exchange.LoopDetected, "")
	}
	// ReverseProxy would call it our own failure.
	if strings.ContainsFunc(first(r.Header, "Upgrade"), func(c rune) bool { return c < ' ' || c > '~' }) {
		return refuse(exchange.HeaderDenied, "the Upgrade field holds what no protocol's name does")
	}
	// net/http would send another one than our routes read, or none.
	if !isHost(r.Host) {
		return refuse(exchange.HeaderDenied, "the Host field holds what no host does")
	}
	if !isHostPort(r.Host) {
		return refuse(exchange.HeaderDenied, "the Host field must be one host, and perhaps a port")
	}
	dropNamed(r.Header)
	return nil
}

// isHostPort reports whether host has one host and one port at most, so that
// all who take them apart get the same.
func isHostPort(host string) bool {
	if rest, ok := strings.CutPrefix(host, "["); ok {
		inside, port, closed := strings.Cut(rest, "]")
		_, err := netip.ParseAddr(inside)
		return closed && err == nil && (port == "" || port[0] == ':' && isPort(port[1:]))
	}
	name, port, _ := strings.Cut(host, ":")
	return isPort(port) && !strings.ContainsAny(name, "[]") && !strings.HasPrefix(name, ".") && !strings.Contains(name, "..")
}

// isPort reports whether s is digits; it may be empty (RFC 3986 section 3.2.3).
func isPort(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c < '0' || c > '9' })
}

// isHost reports whether host holds only what may stand in a host and port: what
// RFC 3986 section 3.2.2 allows, but for percent-encodings, which can be read in
// two ways, and marks that no name in use has.
func isHost(host string) bool {
	for i := range len(host) {
		switch c := host[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("-._~:[]", c) >= 0:
		default:
			return false
		}
	}
	return true
}

// match is a policy.Match, made ready.
type match struct {
	policy.Match
	methods map[string]bool
	host    exchange.HostPattern
	headers []exchange.Field
}

func newMatch(m policy.Match) match {
	c := match{Match: m, host: exchange.NewHostPattern(m.Host)}
	if len(m.Methods) > 0 {
		c.methods = make(map[string]bool, len(m.Methods))
		for _, method := range m.Methods {
			c.methods[method] = true
		}
	}
	for name, value := range m.Headers {
		c.headers = append(c.headers, exchange.Field{Name: http.CanonicalHeaderKey(name), Value: value})
	}
	return c
}

func (m *match) takes(r *http.Request, path string) bool {
	if m.Path != "" && path != m.Path {
		return false
	}
	if m.PathPrefix != "" && !hasPathPrefix(path, m.PathPrefix) {
		return false
	}
	if m.methods != nil && !m.methods[r.Method] {
		return false
	}
	if m.host != "" && !m.host.Match(exchange.HostOnly(r.Host)) {
		return false
	}
	for _, h := range m.headers {
		values := exchange.Values(r, h.Name)
		if len(values) == 0 || h.Value != "*" && !slices.Contains(values, h.Value) {
			return false
		}
	}
	return true
}

// hasPathPrefix reports whether path begins with prefix and goes on, if at
// all, at a slash: /v1 takes /v1/x, not /v10.
func hasPathPrefix(path, prefix string) bool {
	rest, ok := strings.CutPrefix(path, prefix)
	return ok && (rest == "" || rest[0] == '/' || strings.HasSuffix(prefix, "/"))
}
