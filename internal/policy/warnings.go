package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"sidecar/internal/authz"
	"sidecar/internal/exchange"
	"sidecar/internal/ratelimit"
	"sidecar/internal/retry"
)

// safeIdle is Node's keep-alive, the shortest among common servers.
const safeIdle = 5 * time.Second

// Warnings returns what is legal and probably not meant. f must be valid.
func (f *File) Warnings() Problems {
	ws := &warnings{File: f, used: map[string]bool{}}
	anybody := false
	for _, r := range f.Routes {
		ws.used["upstreams."+r.Upstream] = true
		anybody = ws.route(r) || anybody
	}
	if !anybody && !f.origin().partial {
		ws.warn("routes", "nobody is authenticated on any route")
	}
	for i, n := range f.Server.TrustedProxies {
		if n.Bits() == 0 {
			ws.warn(fmt.Sprintf("server.trustedProxies[%d]", i), "is everybody: any client can say that it is another")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(f.Upstreams)) {
		at := "upstreams." + name
		if c := f.Upstreams[name].TLS; c != nil && c.InsecureSkipVerify {
			ws.warn(at+".tls.insecureSkipVerify", "whoever is on the way may be the upstream: its certificate is not looked at")
		}
		ws.unused(at, "no route goes to it")
		if problem := f.Upstreams[name].Idle(); problem != "" {
			ws.warn(at+".outlier", problem)
		}
		if idle := f.Upstreams[name].Pool.IdleTimeout; idle >= safeIdle {
			ws.warn(at+".pool.idleTimeout", fmt.Sprintf("should be shorter than the service's own keep-alive, "+
				"often %v, or calls meet connections that are being closed, got %v", safeIdle, idle))
		}
	}
	ws.stores()
	for kind, policies := range f.kinds() {
		for _, name := range policies.names() {
			if modeOf(policies.get(name)) != exchange.ModeDisabled {
				ws.unused("policies."+kind+"."+name, "no route uses it")
			}
		}
	}
	return ws.all.sorted()
}

type warnings struct {
	*File
	used map[string]bool // by path
	all  Problems
}

// unused warns about what no route uses, unless that is not known.
func (ws *warnings) unused(path, text string) {
	if !ws.used[path] && !ws.origin().partial {
		ws.warn(path, text)
	}
}

func (ws *warnings) warn(path, text string) {
	ws.all = append(ws.all, ws.Problem(path, "warning: "+text))
}

// route warns about what r ends up with. It reports whether it authenticates.
func (ws *warnings) route(r *Route) bool {
	e, use := ws.Effective(r), ws.origin().route(r)+".use."
	for _, p := range e.Authz {
		if x := p.Config.External; x != nil && x.Insecure() && !ws.used[p.Path] {
			ws.warn(p.Path+".external.url", "is plain http to another machine: who is on the way can read what is asked, and change the answer")
		}
	}
	if e.Authn != nil {
		ws.audiences(*e.Authn)
		ws.certificates(*e.Authn)
	}
	if e.Retry != nil {
		ws.retry(use+"retry", e.Retry.Config, e.Timeout)
	}
	ws.mark(e)
	if e.Authn != nil && e.Authn.Config.Mode == exchange.ModeEnforce {
		return true
	}
	return ws.anonymous(e, use, ws.whyUnknown(r, e))
}

// retry warns of attempts that cannot do what they are there for.
func (ws *warnings) retry(at string, c retry.Config, timeout time.Duration) {
	if c.PerTryTimeout > 0 && !slices.Contains(c.RetryOn, exchange.Condition(exchange.FailedTimeout)) {
		ws.warn(at, "perTryTimeout does nothing: retryOn does not name timeout")
	}
	if all := time.Duration(c.MaxAttempts) * c.PerTryTimeout; timeout > 0 && all > timeout {
		ws.warn(at, fmt.Sprintf("%d attempts of %v do not fit into the route's timeout, %v", c.MaxAttempts, c.PerTryTimeout, timeout))
	}
	if c.Hedge == nil {
		return
	}
	switch after := c.Hedge.After.Fixed; {
	case timeout > 0 && after >= timeout:
		ws.warn(at, fmt.Sprintf("hedge does nothing: it waits for %v, and the route's timeout is %v", after, timeout))
	case c.PerTryTimeout > 0 && after >= c.PerTryTimeout:
		ws.warn(at, fmt.Sprintf("hedge comes too late: it waits for %v, and perTryTimeout is %v", after, c.PerTryTimeout))
	}
}

// mark remembers which policies are used.
func (ws *warnings) mark(e Effective) {
	mark(ws.used, e.Validation...)
	mark(ws.used, one(e.Authn)...)
	mark(ws.used, e.Authz...)
	mark(ws.used, e.RateLimit...)
	for _, l := range e.RateLimit {
		ws.used["stores."+l.Config.Store] = true
	}
	mark(ws.used, one(e.Concurrency)...)
	mark(ws.used, one(e.CircuitBreaker)...)
	if b := e.CircuitBreaker; b != nil && b.Config.Fallback != nil {
		ws.used["upstreams."+b.Config.Fallback.Upstream] = true
	}
	mark(ws.used, one(e.Retry)...)
	mark(ws.used, e.Fault...)
}

// whyUnknown says why r, whose authn refuses nobody, does not know who asks.
func (ws *warnings) whyUnknown(r *Route, e Effective) string {
	if e.Authn != nil {
		return "authn " + e.Authn.Name + " is in shadow and refuses nobody"
	}
	if name := ws.disabledAuthn(r); name != "" {
		return "authn " + name + " is disabled"
	}
	return "the route has no authn"
}

// anonymous warns of policies that ask for what nobody proves. It reports
// whether a decision point knows all the same who it lets by.
func (ws *warnings) anonymous(e Effective, use, unknown string) (decided bool) {
	for _, p := range e.Authz {
		decided = decided || p.Config.External != nil && p.Config.Mode == exchange.ModeEnforce
		if what := asksWho(p.Config); what != "" && p.Config.Mode == exchange.ModeEnforce {
			ws.warn(use+"authz", fmt.Sprintf("%s asks for %s, and %s", p.Name, what, unknown))
		}
	}
	for _, p := range e.RateLimit {
		if key := keyOfWho(p.Config); key != "" && p.Config.Mode == exchange.ModeEnforce {
			ws.warn(use+"rateLimit", fmt.Sprintf("%s counts by %s, and %s", p.Name, key, unknown))
		}
	}
	if c := e.Concurrency; c != nil && c.Config.Priority != nil && c.Config.Priority.Claim != "" && c.Config.Mode == exchange.ModeEnforce {
		ws.warn(use+"concurrency", fmt.Sprintf("%s goes by claim:%s, and %s: all are alike", c.Name, c.Config.Priority.Claim, unknown))
	}
	return decided
}

// audiences warns of each issuer whose tokens are accepted whomever they are
// for (RFC 8725 section 3.9), unless it is asked about each: then it decides
// who may use it here (RFC 7662 section 4).
func (ws *warnings) audiences(p Named[authz.AuthnConfig]) {
	if ws.used[p.Path] {
		return // another route has it too
	}
	for i, c := range p.Config.Issuers {
		if len(c.Audiences) == 0 && c.Introspection == nil {
			ws.warn(fmt.Sprintf("%s.issuers[%d].audiences", p.Path, i), "is empty: tokens for other services are accepted")
		}
	}
}

// certificates warns of a policy that takes clients' certificates, where no
// client is asked for one.
func (ws *warnings) certificates(p Named[authz.AuthnConfig]) {
	asked := ws.Server.TLS != nil && ws.Server.TLS.Verifies()
	if p.Config.ClientCertificates && !asked && !ws.used[p.Path] {
		ws.warn(p.Path+".clientCertificates", "does nothing: the clientAuth of server.tls asks nobody for a certificate")
	}
}

// disabledAuthn returns the name of the authn policy that r uses in mode
// disabled, if it does.
func (ws *warnings) disabledAuthn(r *Route) string {
	use := r.Use.Authn
	if use.IsZero() {
		use = ws.Defaults.Use.Authn
	}
	if use.Inline != nil && use.Inline.Mode == exchange.ModeDisabled {
		return r.Name + "/" + exchange.Authn
	}
	for _, name := range use.Names {
		if c := ws.Policies.Authn[name]; c != nil && c.Mode == exchange.ModeDisabled {
			return name
		}
	}
	return ""
}

func mark[C any](used map[string]bool, policies ...Named[C]) {
	for _, p := range policies {
		used[p.Path] = true
	}
}

// one returns what there is of a policy of which there is one at most.
func one[C any](p *Named[C]) []Named[C] {
	if p == nil {
		return nil
	}
	return []Named[C]{*p}
}

// asksWho returns what c wants to know about the principal, if anything.
func asksWho(c authz.Config) string {
	for _, rule := range c.Rules {
		if key := rule.When.AsksWho(); key != "" {
			return key
		}
	}
	return ""
}

// keyOfWho returns the key of c that needs a principal, if there is one.
func keyOfWho(c ratelimit.Config) string {
	for _, key := range c.Key {
		if key == "principal" || strings.HasPrefix(key, "claim:") {
			return key
		}
	}
	return ""
}
