package proxy

import (
	"cmp"
	"errors"
	"maps"
	"net/http"
	"slices"

	"sidecar/internal/authz"
	"sidecar/internal/certs"
	"sidecar/internal/exchange"
	"sidecar/internal/faults"
	"sidecar/internal/policy"
	"sidecar/internal/ratelimit"
	"sidecar/internal/retry"
	"sidecar/internal/upstream"
	"sidecar/internal/validation"
)

// builder makes a Snapshot out of a policy file, with the state of the one
// before. Each of its methods named after a kind makes that kind's stages of
// one route, or none.
type builder struct {
	options   Options
	pseudonym string
	file      *policy.File
	identity  []string
	old       state
	next      state
	problems  policy.Problems

	authned     map[string]*authz.Authn           // by name: keys are read once
	validations map[string]*validation.Validation // by name: schemas are compiled once
	needed      map[*authz.KeySet]bool            // by a policy that enforces
	each        []eachEndpoint                    // breakers of endpoints
	clients     map[string]*certs.Material        // of upstreams with TLS, by their names
}

func (p *Proxy) build(f *policy.File, old *Snapshot) (*Snapshot, error) {
	b := &builder{
		options: p.options, pseudonym: p.pseudonym, file: f, identity: identityHeaders(f), next: state{},
		authned: map[string]*authz.Authn{}, validations: map[string]*validation.Validation{},
		needed: map[*authz.KeySet]bool{}, clients: map[string]*certs.Material{},
	}
	if old != nil {
		b.old = old.state
	}
	s := &Snapshot{
		file: f, strictPaths: f.Server.Paths == policy.PathsStrict,
		trusted: f.Server.TrustedProxies, pseudonym: p.pseudonym,
		state: b.next, needed: b.needed, clients: b.clients, listeners: b.listeners(old),
	}
	for _, r := range f.Routes {
		s.routes = append(s.routes, b.route(r))
	}
	for name, c := range f.Policies.Fault {
		s.faults = append(s.faults, faults.Named{Name: name, Config: *c})
	}
	s.each = b.each
	if len(b.problems) > 0 {
		b.next.close(b.old)
		return nil, b.problems
	}
	return s, nil
}

// identityHeaders returns the fields in which some policy tells the upstream
// who calls, or what a decision point says of it. On every route they are ours
// alone: on one that does not authenticate, or whose policy is switched off, a
// client could else call itself whatever it likes.
func identityHeaders(f *policy.File) []string {
	var names []string
	add := func(authn *authz.AuthnConfig, rules *authz.Config) {
		if authn != nil {
			names = slices.AppendSeq(names, maps.Keys(authn.ForwardClaims))
		}
		if rules != nil && rules.External != nil {
			names = append(names, rules.External.ToUpstream...)
		}
	}
	add(f.Defaults.Use.Authn.Inline, f.Defaults.Use.Authz.Inline)
	for _, c := range f.Policies.Authn {
		add(c, nil)
	}
	for _, c := range f.Policies.Authz {
		add(nil, c)
	}
	for _, r := range f.Routes {
		add(r.Use.Authn.Inline, r.Use.Authz.Inline)
	}
	for i, name := range names {
		names[i] = http.CanonicalHeaderKey(name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (b *builder) route(r *policy.Route) *route {
	e := b.file.Effective(r)
	up := b.upstream(r.Upstream)
	rt := &route{
		name: r.Name, upstream: r.Upstream, match: newMatch(r.Match), gates: b.gates(e),
		layers: b.layers(r, e), fallback: b.fallback(r, e),
		patience: cmp.Or(e.Timeout, e.StreamIdleTimeout, longestUpload), longest: e.MaxDuration,
	}
	rt.leg = b.leg(r, e, up, rt.fallback)
	transport := wrap(wrap(b.innermost(up), rt.leg), rt.layers)
	hedges := e.Retry != nil && e.Retry.Config.Hedge != nil
	rt.seam = b.seam(r, deadline(times{e.Timeout, e.StreamIdleTimeout})(transport), hedges)
	return rt
}

func (b *builder) innermost(up *upstream.Upstream) http.RoundTripper {
	if b.options.Transport != nil {
		return b.options.Transport
	}
	return up
}

func (b *builder) validation(e policy.Effective) []gate {
	var gates []gate
	for _, named := range e.Validation {
		at := Stage{exchange.Validation, named.Name, named.Config.Line, named.Config}
		gates = append(gates, gate{
			stages: []Stage{at}, check: b.validated(named).Check, passed: at.passed(),
			shadow: named.Config.Mode == exchange.ModeShadow,
		})
	}
	return gates
}

// validated returns the validation that named describes. Routes share one:
// schemas are compiled once, and what is held in memory is counted together.
func (b *builder) validated(named policy.Named[validation.Config]) *validation.Validation {
	if v, ok := b.validations[named.Name]; ok {
		return v
	}
	buffers := take(b, exchange.Validation, named.Name, named.Config.MaxBuffered, func() *validation.Buffers {
		return validation.NewBuffers(named.Config)
	})
	readFile := b.file.ReadFile
	if b.file.Offline() {
		readFile = nil
	}
	v, err := validation.New(named.Name, named.Config, readFile, buffers)
	if err != nil {
		b.fail(named.Path, err)
	}
	b.validations[named.Name] = v
	return v
}

func (b *builder) authn(e policy.Effective) []gate {
	if e.Authn == nil {
		return nil
	}
	at := Stage{exchange.Authn, e.Authn.Name, e.Authn.Config.Line, e.Authn.Config}
	a, ok := b.authned[e.Authn.Name]
	if !ok && !b.file.Offline() {
		var err error
		if a, err = authz.NewAuthn(e.Authn.Name, e.Authn.Config, b.file.ReadFile, keeper{b, e.Authn.Config.Mode == exchange.ModeEnforce}); err != nil {
			b.fail(e.Authn.Path, err)
		}
		b.authned[e.Authn.Name] = a
	}
	return []gate{{stages: []Stage{at}, check: a.Check, passed: at.passed(), shadow: e.Authn.Config.Mode == exchange.ModeShadow}}
}

// keeper has what asks issuers for an authn policy, from the snapshot before if
// that has it. Policies that believe the same issuer share it.
type keeper struct {
	*builder
	enforced bool
}

// KeySet implements authz.Keeper.
func (b keeper) KeySet(c authz.KeySetConfig) *authz.KeySet {
	k := take(b.builder, exchange.JWKS, policy.Fingerprint(c), c, func() *authz.KeySet {
		return authz.NewKeySet(c, nil, b.options.Random, b.options.tell)
	})
	b.needed[k] = b.needed[k] || b.enforced
	return k
}

// Introspector implements authz.Keeper.
func (b keeper) Introspector(c authz.IntrospectorConfig) *authz.Introspector {
	return take(b.builder, exchange.Introspection, policy.Fingerprint(c), c, func() *authz.Introspector {
		return authz.NewIntrospector(c, nil, b.options.tell)
	})
}

// fail keeps what a room found wrong with the section at path.
func (b *builder) fail(path string, err error) {
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		for _, err := range joined.Unwrap() {
			b.fail(path, err)
		}
		return
	}
	var field *exchange.FieldError
	if errors.As(err, &field) {
		b.problems = append(b.problems, b.file.Problem(path+"."+field.Field, field.Problem))
		return
	}
	b.problems = append(b.problems, b.file.Problem(path, err.Error()))
}

func (b *builder) authz(e policy.Effective) []gate {
	var gates []gate
	for _, a := range e.Authz {
		at := Stage{exchange.Authz, a.Name, a.Config.Line, a.Config}
		check := authz.New(a.Name, a.Config, b.external(a)).Check
		gates = append(gates, gate{stages: []Stage{at}, check: check, shadow: a.Config.Mode == exchange.ModeShadow})
	}
	return gates
}

// external returns the decision point of a, from the snapshot before if it has
// it; nil if a goes by rules.
func (b *builder) external(a policy.Named[authz.Config]) *authz.External {
	if a.Config.External == nil {
		return nil
	}
	return take(b, exchange.Authz, a.Name, a.Config.External, func() *authz.External {
		return authz.NewExternal(*a.Config.External)
	})
}

// rateLimit makes one gate of all limits: nothing is spent when one refuses.
// One in shadow has a gate of its own behind them, so that it counts what the
// others let by, and spends nobody else's.
func (b *builder) rateLimit(e policy.Effective) []gate {
	var enforced, shadows []gate
	var stages []Stage
	var limiters []*ratelimit.Limiter
	for _, l := range e.RateLimit {
		buckets := take(b, exchange.RateLimit, l.Name, l.Config, func() *ratelimit.Buckets {
			return ratelimit.NewBuckets(l.Config)
		})
		at := Stage{exchange.RateLimit, l.Name, l.Config.Line, l.Config}
		limiter := ratelimit.New(l.Name, l.Config, buckets, b.store(l.Config.Store))
		if l.Config.Mode == exchange.ModeShadow {
			shadows = append(shadows, gate{stages: []Stage{at}, check: ratelimit.NewGate(limiter).Check, shadow: true})
			continue
		}
		stages, limiters = append(stages, at), append(limiters, limiter)
	}
	if len(limiters) > 0 {
		g := ratelimit.NewGate(limiters...)
		enforced = []gate{{stages: stages, check: g.Check, announce: g.Announce}}
	}
	return append(enforced, shadows...)
}

// tell passes on an event that has happened already. It is no method of the
// builder: state that keeps it would keep the state before, and that the one
// before it.
func (o Options) tell(e exchange.Event) { _ = o.Observers.Event(e) }

func (b *builder) retry(r *policy.Route, e policy.Effective, up *upstream.Upstream) []layer {
	if e.Retry == nil {
		return nil
	}
	c := b.file.Upstreams[up.Name()].RetryBudget
	budget := take(b, retryBudget, up.Name(), c, func() *retry.Budget {
		return retry.NewBudget(c)
	})
	var times *retry.Times
	if h := e.Retry.Config.Hedge; h != nil && h.After.Percentile > 0 {
		name := e.Retry.Name + "@" + r.Name + "@" + up.Name()
		times = take(b, exchange.Retry, name, h.After, func() *retry.Times { return retry.NewTimes(h.After.Percentile) })
	}
	rt := retry.New(e.Retry.Name, e.Retry.Config, budget, times, b.options.Random)
	at := Stage{exchange.Retry, e.Retry.Name, e.Retry.Config.Line, e.Retry.Config}
	return []layer{{[]Stage{at}, rt.Wrap}}
}

// fault makes one layer of all faults: their delays add up.
func (b *builder) fault(e policy.Effective) []layer {
	if len(e.Fault) == 0 {
		return nil
	}
	var all []Stage
	var named []faults.Named
	for _, f := range e.Fault {
		named = append(named, faults.Named{Name: f.Name, Config: f.Config})
		all = append(all, Stage{exchange.Fault, f.Name, f.Config.Line, f.Config})
	}
	return []layer{{all, faults.New(b.options.Faults, named).Wrap}}
}
