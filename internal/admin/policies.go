package admin

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"sidecar/internal/breaker"
	"sidecar/internal/exchange"
	"sidecar/internal/policy"
	"sidecar/internal/proxy"
)

// routeView is a route and the chain that its requests go through.
type routeView struct {
	Name              string      `json:"name"`
	Line              int         `json:"line"`
	Match             any         `json:"match"`
	Upstream          string      `json:"upstream"`
	Timeout           string      `json:"timeout"`
	StreamIdleTimeout string      `json:"streamIdleTimeout"`
	MaxDuration       string      `json:"maxDuration"` // 0s: none
	Upgrade           []string    `json:"upgrade"`
	Chain             []stageView `json:"chain"`
	Fallback          []stageView `json:"fallback,omitempty"` // the leg that stands in for that of the chain
}

type stageView struct {
	Kind   string `json:"kind"`
	Policy string `json:"policy,omitempty"`
	Line   int    `json:"line,omitempty"`
	Config any    `json:"config,omitempty"`
}

func (a *Admin) listRoutes(w http.ResponseWriter, _ *http.Request) {
	all := []routeView{}
	if s := a.Proxy.Snapshot(); s != nil {
		for _, r := range s.File().Routes {
			all = append(all, viewRoute(s, r))
		}
	}
	reply(w, http.StatusOK, map[string]any{"routes": all})
}

func viewRoute(s *proxy.Snapshot, r *policy.Route) routeView {
	f := s.File()
	e := f.Effective(r)
	v := routeView{
		Name: r.Name, Line: r.Line, Match: f.TreeOf(r.Match), Upstream: r.Upstream,
		Timeout: e.Timeout.String(), StreamIdleTimeout: e.StreamIdleTimeout.String(), MaxDuration: e.MaxDuration.String(), Upgrade: orEmpty(r.Upgrade),
	}
	v.Chain, v.Fallback = viewStages(f, s.Chain(r.Name)), viewStages(f, s.Fallback(r.Name))
	return v
}

func viewStages(f *policy.File, stages []proxy.Stage) (views []stageView) {
	for _, stage := range stages {
		at := stageView{Kind: stage.Kind, Policy: stage.Policy, Line: stage.Line}
		if stage.Config != nil {
			at.Config = f.TreeOf(stage.Config)
		}
		views = append(views, at)
	}
	return views
}

// policyView is a policy, and what has become of it.
type policyView struct {
	Kind   string   `json:"kind"`
	Name   string   `json:"name"`
	Line   int      `json:"line,omitempty"` // absent for a built-in one
	Routes []string `json:"routes"`         // that use it
	// Instances are the breakers or limits of concurrent calls that it has, as
	// GET /breakers and GET /concurrency name them.
	Instances []string `json:"instances,omitempty"`
	Config    any      `json:"config"`
}

func (a *Admin) listPolicies(w http.ResponseWriter, _ *http.Request) {
	all := []*policyView{}
	if s := a.Proxy.Snapshot(); s != nil {
		all = viewPolicies(s)
	}
	reply(w, http.StatusOK, map[string]any{"policies": all})
}

// viewPolicies returns the named policies, used or not, and behind them those
// that routes hold inline and the built-in ones that run.
func viewPolicies(s *proxy.Snapshot) (all []*policyView) {
	f := s.File()
	find := func(kind, name string, line int, config any) *policyView {
		i := slices.IndexFunc(all, func(v *policyView) bool { return v.Kind == kind && v.Name == name })
		if i < 0 {
			i = len(all)
			all = append(all, &policyView{Kind: kind, Name: name, Line: line, Routes: []string{}, Config: f.TreeOf(config)})
		}
		return all[i]
	}
	for kind, p := range f.Named() {
		find(kind, p.Name, f.Line(p.Path), p.Config)
	}
	for _, route := range s.Routes() {
		for _, stage := range slices.Concat(s.Chain(route), s.Fallback(route)) {
			if stage.Config == nil || stage.Kind == exchange.ByUpstream {
				continue
			}
			name, _, isInstance := strings.Cut(stage.Policy, "@") // which no name holds
			v := find(stage.Kind, name, stage.Line, stage.Config)
			v.Routes = withOnce(v.Routes, route)
			if isInstance {
				for _, name := range instances(s, stage) {
					v.Instances = withOnce(v.Instances, name)
				}
			}
		}
	}
	return all
}

// instances returns the names of what runs for a stage: a breaker of endpoints
// has one for each.
func instances(s *proxy.Snapshot, stage proxy.Stage) []string {
	if c, ok := stage.Config.(breaker.Config); !ok || c.Scope != breaker.ScopeEndpoint {
		return []string{stage.Policy}
	}
	var names []string
	for _, b := range s.Breakers() {
		if strings.HasPrefix(b.Name(), stage.Policy+"/") {
			names = append(names, b.Name())
		}
	}
	return names
}

// withOnce returns list with name in it, once.
func withOnce(list []string, name string) []string {
	if slices.Contains(list, name) {
		return list
	}
	return append(list, name)
}

// configView is the policy file that holds, with what was not said.
type configView struct {
	File    string    `json:"file"`
	Hash    string    `json:"hash"` // SHA-256 of its bytes
	Applied time.Time `json:"applied"`
	Config  any       `json:"config"`
}

func (a *Admin) getConfig(w http.ResponseWriter, _ *http.Request) {
	s := a.Proxy.Snapshot()
	if s == nil {
		fail(w, http.StatusServiceUnavailable, "there is no policy yet")
		return
	}
	f := s.File()
	reply(w, http.StatusOK, configView{f.Name(), f.Hash(), s.Applied().UTC(), f.Tree()})
}
