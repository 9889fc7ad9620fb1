package policy

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"sidecar/internal/exchange"
)

// whole checks what spans the sections of the file.
func (w *walk) whole(f *File) {
	switch f.Version {
	case Version:
	case "":
		w.check("version", "must be said: version: "+Version)
	default:
		w.check("version", fmt.Sprintf("must be %s, the one version there is, got %q", Version, f.Version))
	}
	if len(f.Upstreams) == 0 {
		w.check("upstreams", "must name at least one upstream")
	}
	if len(f.Routes) == 0 {
		w.check("routes", "must have at least one route")
	}
	w.use(f, "defaults.use", f.Defaults.Use)
	w.lasts("defaults", f.Defaults.Timeout, f.Defaults.MaxDuration, true)
	w.adminTokens(f)
	w.stores(f)
	w.fallbacks(f)

	upstreams := slices.Sorted(maps.Keys(f.Upstreams))
	for i, r := range f.Routes {
		if r == nil {
			continue // reported
		}
		at := w.routes[r]
		if _, ok := f.Upstreams[r.Upstream]; r.Upstream == "" {
			w.check(at+".upstream", "must be said: one of the upstreams")
		} else if !ok && !w.isUnread("upstreams") {
			w.check(at+".upstream", missing("upstream", r.Upstream, upstreams))
		}
		w.use(f, at+".use", r.Use)
		w.ownFallback(f, r, at)
		if e := f.Effective(r); r.MaxDuration != nil || r.Timeout != nil {
			w.lasts(at, e.Timeout, e.MaxDuration, r.MaxDuration != nil)
		}
		w.named(f.Routes, i)
		if f.Server.Paths == PathsStrict {
			w.strictPath(at+".match.path", r.Match.Path)
			w.strictPath(at+".match.pathPrefix", r.Match.PathPrefix)
		}
		w.reachable(f.Routes, i)
	}
}

// lasts checks that an exchange may take as long as its answer may take to
// begin. said: maxDuration stands in the section at path, else timeout does.
func (w *walk) lasts(path string, timeout, maxDuration time.Duration, said bool) {
	switch {
	case maxDuration == 0 || maxDuration >= timeout:
	case said:
		w.check(path+".maxDuration", fmt.Sprintf("must be at least timeout, %v, or 0s, got %v", timeout, maxDuration))
	default:
		w.check(path+".timeout", fmt.Sprintf("must be at most maxDuration, %v, got %v", maxDuration, timeout))
	}
}

// use checks what is used at path.
func (w *walk) use(f *File, path string, u Use) {
	known := maps.Collect(f.kinds())
	for _, e := range u.entries() {
		at := join(path, e.kind)
		if e.inline && e.kind == exchange.Fault {
			w.check(at, "must be named, so that an operator can switch it: put it under policies.fault")
		}
		if e.names != nil && len(e.names) == 0 {
			w.check(at, "must name at least one policy; none switches the kind off")
		}
		if e.single && len(e.names) > 1 {
			w.check(at, fmt.Sprintf("must be one policy, got %d", len(e.names)))
		}
		for i, name := range e.names {
			at := at
			if item := fmt.Sprintf("%s[%d]", at, i); w.has(item) {
				at = item
			}
			names := known[e.kind].names()
			switch {
			case name == none:
				w.check(at, "must not be in a list: none stands alone")
			case name == builtIn:
				w.check(at, "must not be default: {} is a policy with the kind's defaults")
			case slices.Contains(e.names[:i], name):
				w.check(at, fmt.Sprintf("is in the list already: %q", name))
			case !slices.Contains(names, name) && !w.isUnread("policies") && !w.isUnread("policies."+e.kind):
				w.check(at, missing(e.kind+" policy", name, names))
			}
		}
	}
}

// named checks that the i-th route has a name of its own.
func (w *walk) named(routes []*Route, i int) {
	name := routes[i].Name
	for _, earlier := range routes[:i] {
		if earlier != nil && earlier.Name == name && name != "" {
			w.check(w.routes[routes[i]]+".name", fmt.Sprintf("is that of the route at line %d already: %q", earlier.Line, name))
			return
		}
	}
}

// reachable checks that the i-th route gets requests: that none of those
// before it takes them all. A match with a problem seems to take more than it
// does, so it is not asked.
func (w *walk) reachable(routes []*Route, i int) {
	for _, earlier := range routes[:i] {
		if earlier == nil || !earlier.Match.covers(routes[i].Match) || !w.sound(w.routes[earlier]+".match") {
			continue
		}
		w.check(w.routes[routes[i]], fmt.Sprintf("can never match: route %s at line %d takes all its requests", earlier.Name, earlier.Line))
		return
	}
}

// strictPath checks that there are requests with path.
func (w *walk) strictPath(at, path string) {
	if part := ambiguous(path); part != "" {
		w.check(at, fmt.Sprintf("can never match: requests with %q in their path are refused, since server.paths is strict", part))
	}
}
