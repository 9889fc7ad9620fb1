package authz

import (
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"sidecar/internal/exchange"
)

// rule is a RuleConfig made ready to match.
type rule struct {
	name string
	line int
	deny bool

	personal   bool // asks for something only a principal has
	methods    []string
	roles      map[string]struct{}
	scopes     []string
	claims     []oneOf
	principals exchange.Wildcards
	paths      []exchange.PathGlob
	hosts      []exchange.HostPattern
	headers    []oneOf
	sources    []netip.Prefix
	body       *bool
	passed     *exchange.Decision // what it is to say
}

// oneOf is what a claim or header field of that name must be.
type oneOf struct {
	name   string
	values exchange.Wildcards
}

func newRule(c RuleConfig) rule {
	w := c.When
	r := rule{
		name:       c.Name,
		line:       c.Line,
		deny:       c.Effect == Deny,
		personal:   w.AsksWho() != "",
		methods:    slices.Clone(w.Methods),
		roles:      make(map[string]struct{}, len(w.Roles)),
		scopes:     slices.Clone(w.Scopes),
		claims:     newOneOfs(w.Claims),
		principals: exchange.NewWildcards(w.Principals),
		headers:    newOneOfs(w.Headers),
		body:       w.Body,
	}
	for _, role := range w.Roles {
		r.roles[role] = struct{}{}
	}
	for _, pattern := range w.Paths {
		r.paths = append(r.paths, exchange.NewPathGlob(pattern))
	}
	for _, host := range w.Hosts {
		r.hosts = append(r.hosts, exchange.NewHostPattern(host))
	}
	for i, h := range r.headers {
		r.headers[i].name = http.CanonicalHeaderKey(h.name)
	}
	for _, network := range w.SourceAddresses {
		r.sources = append(r.sources, network.Prefix)
	}
	return r
}

func newOneOfs(values map[string]exchange.OneOrMore) []oneOf {
	var all []oneOf
	for _, name := range slices.Sorted(maps.Keys(values)) {
		all = append(all, oneOf{name, exchange.NewWildcards(values[name])})
	}
	return all
}

// rules are those of one effect, in order.
type rules struct {
	list []rule
	// heads hold, for each, what the paths that it matches all begin with. A
	// thousand rules are told apart by them, so they lie close together.
	heads []string
}

func (rs *rules) add(r rule) {
	head := ""
	for i, p := range r.paths {
		if i == 0 {
			head = p.Head()
		}
		for !strings.HasPrefix(p.Head(), head) {
			head = head[:len(head)-1]
		}
	}
	rs.list, rs.heads = append(rs.list, r), append(rs.heads, head)
}

// first returns the first rule that matches, or nil.
func (rs *rules) first(a *asked) *rule {
	for i, head := range rs.heads {
		if strings.HasPrefix(a.path, head) && rs.list[i].match(a) {
			return &rs.list[i]
		}
	}
	return nil
}

// match reports whether every key of the rule holds. What is cheap, and tells
// most rules apart, comes first.
func (r *rule) match(a *asked) bool {
	return (len(r.methods) == 0 || slices.Contains(r.methods, a.Method)) &&
		(len(r.paths) == 0 || r.matchPath(a.path)) &&
		(r.body == nil || *r.body == (a.ContentLength != 0)) && // -1 is a body of unknown length
		(len(r.hosts) == 0 || r.matchHost(a.host)) &&
		(len(r.sources) == 0 || r.matchSource(a.client)) &&
		(!r.personal || a.principal != nil && r.matchPrincipal(a.principal)) &&
		r.matchHeaders(a)
}

func (r *rule) matchPath(path string) bool {
	for i := range r.paths {
		if r.paths[i].Match(path) {
			return true
		}
	}
	return false
}

func (r *rule) matchHost(host string) bool {
	for _, pattern := range r.hosts {
		if pattern.Match(host) {
			return true
		}
	}
	return false
}

func (r *rule) matchSource(client netip.Addr) bool {
	for _, network := range r.sources {
		if network.Contains(client) {
			return true
		}
	}
	return false
}

// matchHeaders takes the stricter side where a field is there several times, or
// lists several values (RFC 9110 section 5.3 makes no difference), since we do
// not know which of them the upstream goes by.
func (r *rule) matchHeaders(a *asked) bool {
	for _, want := range r.headers {
		found := r.deny && a.announces(want.name)
		for _, value := range a.values(want.name) {
			switch {
			case want.values.Match(value), r.deny && want.values.MatchPart(value):
				found = true
			case !r.deny:
				return false
			}
		}
		if !found {
			return false
		}
	}
	return true
}
