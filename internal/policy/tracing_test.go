package policy

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWhatOfTracingNeedsARestart(t *testing.T) {
	const (
		base = `version: v1
upstreams: {orders: {endpoints: [{url: "http://127.0.0.1:3000"}]}}
routes: [{name: all, upstream: orders}]
`
		some = base + `telemetry: {tracing: {otlp: "http://c:4317"}}`
	)
	tests := []struct {
		name, before, after string
		want                []string
	}{
		{"nothing", some, some, nil},
		{"it is added", base, some, []string{"telemetry.tracing.otlp changed: needs a restart"}},
		{"it is removed", some, base, []string{"telemetry.tracing.otlp changed: needs a restart"}},
		{
			"another collector", some, base + `telemetry: {tracing: {otlp: "https://c:4317"}}`,
			[]string{"telemetry.tracing.otlp changed: needs a restart"},
		},
		{
			"another share", some, base + `telemetry: {tracing: {otlp: "http://c:4317", samplePercent: 5}}`,
			[]string{"telemetry.tracing.samplePercent changed"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := parse(t, tt.before, Options{})
			got := Diff(before, before, parse(t, tt.after, Options{}))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Diff (-want +got):\n%s", diff)
			}
		})
	}
}
