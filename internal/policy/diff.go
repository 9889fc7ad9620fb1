package policy

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"sidecar/internal/audit"
	"sidecar/internal/certs"
	"sidecar/internal/tracing"
)

// thing is a part of the file that changes as a whole.
type thing struct {
	name  string
	print string
	once  string // print of what is read once, when the process starts
}

// Diff returns what changed from old to next, a short line for each named
// thing, in the order of the file. What is read once is held against started,
// the file that the process began with: as long as next differs from that, it
// needs a restart.
func Diff(started, old, next *File) []string {
	var lines []string
	before := map[string]thing{}
	for _, t := range old.things() {
		before[t.name] = t
	}
	began := map[string]string{}
	for _, t := range started.things() {
		began[t.name] = t.once
	}
	for _, t := range next.things() {
		was, ok := before[t.name]
		delete(before, t.name)
		switch {
		case !ok:
			lines = append(lines, t.name+" added")
		case began[t.name] != t.once:
			lines = append(lines, t.name+" changed: needs a restart")
		case was.print != t.print:
			lines = append(lines, t.name+" changed")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(before)) {
		lines = append(lines, name+" removed")
	}
	if reordered(old.Routes, next.Routes) {
		lines = append(lines, "order of routes changed")
	}
	return lines
}

// readOnce are the keys of server that a running process does not read again.
var readOnce = []string{"listen", "telemetry", "admin", "protocols", "transport", "limits"}

// readOnce says that all of t is.
func (t *thing) readOnce() { t.print, t.once = "", t.print }

// things returns the parts of f.
func (f *File) things() []thing {
	var all []thing
	add := func(path, name string, config any) {
		all = append(all, thing{name: name, print: Fingerprint(config) + f.origin().contents(path)})
	}
	server := reflect.ValueOf(f.Server)
	for _, field := range fieldsOf(server.Type()) {
		config := server.FieldByIndex(field.index).Interface()
		add("server."+field.key, "server."+field.key, config)
		last := &all[len(all)-1]
		if slices.Contains(readOnce, field.key) {
			last.readOnce()
		}
		if c, ok := config.(*certs.Server); ok {
			last.once = fmt.Sprint(c != nil) // a port speaks TLS for good, or not at all
		}
		if s, ok := config.(Secret); ok {
			last.print += s.value // it prints as it is written, whatever it is
		}
	}
	for _, name := range slices.Sorted(maps.Keys(f.Upstreams)) {
		add("upstreams."+name, "upstream "+name, f.Upstreams[name])
	}
	for _, name := range slices.Sorted(maps.Keys(f.Stores)) {
		add("stores."+name, "store "+name, f.Stores[name])
		all[len(all)-1].print += f.Stores[name].Password.value // it prints as it is written, whatever it is
	}
	for kind, policies := range f.kinds() {
		for _, name := range policies.names() {
			add("policies."+kind+"."+name, kind+"/"+name, policies.get(name))
		}
	}
	add("defaults", "defaults", f.Defaults)
	for _, r := range f.Routes {
		add(f.origin().route(r), "route "+r.Name, r)
	}
	add("telemetry.logs", "telemetry.logs", f.Telemetry.Logs)
	// There also where there is no section: to add or remove one needs a restart.
	var traced tracing.Config
	if f.Telemetry.Tracing != nil {
		traced = *f.Telemetry.Tracing
	}
	add("", "telemetry.tracing.otlp", traced.OTLP)
	all[len(all)-1].readOnce()
	add("", "telemetry.tracing.samplePercent", traced.SamplePercent)
	var audited audit.Config
	if f.Telemetry.Audit != nil {
		audited = *f.Telemetry.Audit
	}
	add("", "telemetry.audit", audited)
	all[len(all)-1].readOnce()
	return all
}

// contents returns a print of the files that are named at or below path.
func (s *source) contents(path string) string {
	var print strings.Builder
	for _, at := range slices.Sorted(maps.Keys(s.reads)) {
		if below, ok := strings.CutPrefix(at, path); ok && path != "" && below != "" && strings.ContainsRune(".[", rune(below[0])) {
			fmt.Fprintf(&print, " %x", sha256.Sum256(s.files[s.reads[at]]))
		}
	}
	return print.String()
}

// reordered reports whether the routes that both have stand in another order.
func reordered(old, next []*Route) bool {
	common := func(these, those []*Route) (names []string) {
		for _, r := range these {
			if slices.ContainsFunc(those, func(o *Route) bool { return o.Name == r.Name }) {
				names = append(names, r.Name)
			}
		}
		return names
	}
	return !slices.Equal(common(old, next), common(next, old))
}
