package metrics

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"sidecar/internal/golden"
)

// docs/metrics.md is what the registry says.
func TestReferenceIsCurrent(t *testing.T) {
	var b strings.Builder
	b.WriteString(`# Metrics

Generated from the registry by ` + "`make docs`" + `.

The telemetry port tells these at ` + "`/metrics`" + `. Label values come from the policy file,
from the code or from the upstream, never from a client: a route is its name, and
a method that no standard knows is ` + "`_OTHER`" + `. The words of ` + "`reason`" + ` are in
[reasons.md](reasons.md). Beside these there are the Go runtime's and the
process's own, with ` + "`go_` and `process_`" + `; a leak of memory would show in
` + "`go_gc_heap_live_bytes`" + `, what the last garbage collection found in use.

| name | type | labels | |
|---|---|---|---|
`)
	for _, f := range gathered(t) {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", f.name, f.kind, strings.Join(f.labels, ", "), f.help)
	}
	golden.File(t, "../../docs/metrics.md", b.String())
}

// family is a metric, and all its series.
type family struct {
	name, kind, help string
	labels           []string
}

var descName = regexp.MustCompile(`fqName: "(` + namespace + `_[^"]+)"`)

// gathered returns our own metrics, by name. Only a series tells which labels
// a metric has, so that there must be one of each.
func gathered(t *testing.T) []family {
	t.Helper()
	registry := busy(t).registry
	found, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var families []family
	for _, f := range found {
		if !strings.HasPrefix(f.GetName(), namespace+"_") {
			continue
		}
		one := family{name: f.GetName(), kind: strings.ToLower(f.GetType().String()), help: f.GetHelp()}
		for _, pair := range f.GetMetric()[0].GetLabel() {
			one.labels = append(one.labels, "`"+pair.GetName()+"`")
		}
		families = append(families, one)
	}

	descs := make(chan *prometheus.Desc)
	go func() {
		registry.Describe(descs)
		close(descs)
	}()
	for desc := range descs {
		name := descName.FindStringSubmatch(desc.String())
		if name != nil && !slices.ContainsFunc(families, func(f family) bool { return f.name == name[1] }) {
			t.Errorf("%s has no series: make one in busy", name[1])
		}
	}
	return families
}
