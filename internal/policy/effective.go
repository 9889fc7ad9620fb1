package policy

import (
	"reflect"

	"sidecar/internal/exchange"
)

// Effective returns what r ends up with, kind by kind: what its own use says,
// else what defaults say, else what is built in.
func (f *File) Effective(r *Route) Effective {
	u, d, p, at := r.Use, f.Defaults.Use, f.Policies, f.origin().route(r)

	e := Effective{Timeout: f.Defaults.Timeout, StreamIdleTimeout: f.Defaults.StreamIdleTimeout, MaxDuration: f.Defaults.MaxDuration}
	if r.Timeout != nil {
		e.Timeout = *r.Timeout
	}
	if r.StreamIdleTimeout != nil {
		e.StreamIdleTimeout = *r.StreamIdleTimeout
	}
	if r.MaxDuration != nil {
		e.MaxDuration = *r.MaxDuration
	}
	e.Validation = orBuiltIn(pick(r, at, exchange.Validation, u.Validation, d.Validation, p.Validation))
	authn, _ := pick(r, at, exchange.Authn, u.Authn, d.Authn, p.Authn)
	e.Authn = first(authn)
	e.Authz, _ = pick(r, at, exchange.Authz, u.Authz, d.Authz, p.Authz)
	e.RateLimit, _ = pick(r, at, exchange.RateLimit, u.RateLimit, d.RateLimit, p.RateLimit)
	limit, _ := pick(r, at, exchange.Concurrency, u.Concurrency, d.Concurrency, p.Concurrency)
	e.Concurrency = first(limit)
	e.CircuitBreaker = first(orBuiltIn(pick(r, at, exchange.CircuitBreaker, u.CircuitBreaker, d.CircuitBreaker, p.CircuitBreaker)))
	e.Retry = first(orBuiltIn(pick(r, at, exchange.Retry, u.Retry, d.Retry, p.Retry)))
	e.Fault, _ = pick(r, at, exchange.Fault, u.Fault, d.Fault, p.Fault)
	return e
}

// pick returns the policies of one kind, and whether the file says anything
// about it.
func pick[C any](r *Route, at, kind string, own, defaults Ref[C], policies map[string]*C) (list []Named[C], said bool) {
	ref, at := own, at+".use."+kind
	if ref.IsZero() {
		ref, at = defaults, "defaults.use."+kind
	}
	add := func(name, path string, c *C) {
		if modeOf(c) != exchange.ModeDisabled {
			list = append(list, Named[C]{name, path, *c})
		}
	}
	if ref.Inline != nil {
		add(r.Name+"/"+kind, at, ref.Inline)
	}
	for _, name := range ref.Names {
		if c, ok := policies[name]; ok {
			add(name, "policies."+kind+"."+name, c)
		}
	}
	return list, !ref.IsZero()
}

// modeOf returns the mode of a policy of any kind; config points to it.
func modeOf(config any) exchange.Mode {
	mode, _ := reflect.ValueOf(config).Elem().FieldByName("Mode").Interface().(exchange.Mode)
	return mode
}

// orBuiltIn returns list or, where the file says nothing, the built-in policy.
func orBuiltIn[C any, P interface {
	*C
	SetDefaults()
}](list []Named[C], said bool) []Named[C] {
	if said {
		return list
	}
	var c C
	P(&c).SetDefaults()
	return []Named[C]{{Name: builtIn, Config: c}}
}

// builtIn is the name of the policies that are in no file.
const builtIn = "default"

func first[C any](list []Named[C]) *Named[C] {
	if len(list) == 0 {
		return nil
	}
	return &list[0]
}
