package tracing

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

func TestWhoDecidesWhatIsTraced(t *testing.T) {
	id, _ := trace.TraceIDFromHex(traceID)
	yes, no := caller{sampled: true}, caller{}
	tests := []struct {
		name     string
		sampler  sampler
		from     caller
		followed bool
		want     bool
	}{
		{"nobody has decided, all are traced", sampler{true, whole}, no, false, true},
		{"nobody has decided, none is traced", sampler{true, 0}, no, false, false},
		{"the caller has said no", sampler{true, whole}, no, true, false},
		{"the caller has said yes", sampler{true, 0}, yes, true, true},
		{"a caller that is not followed has said yes", sampler{true, 0}, yes, false, false},
		{"a sampler that asks no caller", sampler{false, 0}, yes, true, false},
		{"a sampler that asks no caller, all", sampler{false, whole}, no, true, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.sampler.samples(id, tt.from, tt.followed); got != tt.want {
				t.Errorf("%+v: %t, want %t", tt.sampler, got, tt.want)
			}
		})
	}
}

// Services that have the same share must trace the same requests.
func TestTheShareIsThatOfTheLibrary(t *testing.T) {
	for _, share := range []float64{0, 0.001, 0.1, 0.5, 1} {
		ours, theirs := sampler{bound: ratio(share)}, sdk.TraceIDRatioBased(share)
		n := 0
		for range 10_000 {
			id := newTraceID()
			got := ours.samples(id, caller{}, false)
			want := theirs.ShouldSample(sdk.SamplingParameters{TraceID: id}).Decision == sdk.RecordAndSample
			if got != want {
				t.Fatalf("share %v of %v: %t, the library says %t", share, id, got, want)
			}
			if got {
				n++
			}
		}
		if d := float64(n)/10_000 - share; d < -0.03 || d > 0.03 {
			t.Errorf("share %v: %d of 10000 traced", share, n)
		}
	}
}

func TestTheEnvironment(t *testing.T) {
	all := func(change func(*environment)) environment {
		e := plain
		change(&e)
		return e
	}
	tests := []struct {
		variables string
		want      environment
		warns     string
	}{
		{"", plain, ""},
		{"OTEL_SDK_DISABLED=true", all(func(e *environment) { e.off = "OTEL_SDK_DISABLED" }), ""},
		{"OTEL_SDK_DISABLED=no", plain, ""},
		{"OTEL_TRACES_EXPORTER=none", all(func(e *environment) { e.off = "OTEL_TRACES_EXPORTER" }), ""},
		{"OTEL_TRACES_EXPORTER=otlp", plain, ""},
		{"OTEL_TRACES_EXPORTER=console", plain, "OTEL_TRACES_EXPORTER"},
		{"OTEL_PROPAGATORS=none", all(func(e *environment) { e.context, e.baggage = false, false }), ""},
		{"OTEL_PROPAGATORS=tracecontext", all(func(e *environment) { e.baggage = false }), ""},
		{"OTEL_PROPAGATORS=b3,baggage", all(func(e *environment) { e.context = false }), "b3"},
		{"OTEL_TRACES_SAMPLER=always_off", all(func(e *environment) { e.sampler = sampler{false, 0} }), ""},
		{"OTEL_TRACES_SAMPLER=parentbased_always_off", all(func(e *environment) { e.sampler = sampler{true, 0} }), ""},
		{
			"OTEL_TRACES_SAMPLER=parentbased_traceidratio OTEL_TRACES_SAMPLER_ARG=0.25",
			all(func(e *environment) { e.sampler = sampler{true, 1 << 61} }), "",
		},
		{
			"OTEL_TRACES_SAMPLER=traceidratio OTEL_TRACES_SAMPLER_ARG=25",
			all(func(e *environment) { e.sampler = sampler{false, whole} }), "OTEL_TRACES_SAMPLER_ARG",
		},
		{"OTEL_TRACES_SAMPLER=jaeger_remote", plain, "jaeger_remote"},
	}
	for _, tt := range tests {
		t.Run(tt.variables, func(t *testing.T) {
			for assignment := range strings.FieldsSeq(tt.variables) {
				name, value, _ := strings.Cut(assignment, "=")
				t.Setenv(name, value)
			}
			var log bytes.Buffer
			if got := readEnvironment(&words{log: slog.New(slog.NewTextHandler(&log, nil))}); got != tt.want {
				t.Errorf("environment %+v, want %+v", got, tt.want)
			}
			if said := log.String(); !strings.Contains(said, tt.warns) || (tt.warns == "") != (said == "") {
				t.Errorf("the log says %q, want it to speak of %q", said, tt.warns)
			}
		})
	}
}

func TestThePolicyGoesBeforeTheEnvironment(t *testing.T) {
	env := plain
	env.sampler = sampler{false, 0}
	tr, _ := traced(t, env)
	ten := 10.0
	tr.Apply(&Config{SamplePercent: &ten})
	if got, want := *tr.sampler.Load(), (sampler{true, ratio(0.1)}); got != want {
		t.Errorf("sampler %+v, want %+v", got, want)
	}
	tr.Apply(nil) // the section is gone: that needs a restart
	if got, want := *tr.sampler.Load(), (sampler{true, ratio(0.1)}); got != want {
		t.Errorf("sampler %+v, want it unchanged", got)
	}
	tr.Apply(&Config{})
	if got := *tr.sampler.Load(); got != env.sampler {
		t.Errorf("sampler %+v, want that of the environment", got)
	}
	(*Tracing)(nil).Apply(&Config{}) // tracing is off
}
