package tracing

import (
	"math"
	"testing"
)

func TestConfigIsChecked(t *testing.T) {
	const form = "otlp: must be http://HOST:PORT or https://HOST:PORT"
	share := func(n float64) *float64 { return &n }
	tests := []struct {
		config Config
		want   string
	}{
		{Config{OTLP: "http://otel-collector:4317"}, ""},
		{Config{OTLP: "https://[::1]:4317/", SamplePercent: share(0.1)}, ""},
		{Config{OTLP: "http://c:4317", SamplePercent: share(0)}, ""},
		{Config{}, form + `, got ""`},
		{Config{OTLP: "otel-collector:4317"}, form + `, got "otel-collector:4317"`},
		{Config{OTLP: "http://otel-collector"}, form + `, got "http://otel-collector"`},
		{Config{OTLP: "grpc://c:4317"}, form + `, got "grpc://c:4317"`},
		{Config{OTLP: "http://c:99999"}, form + `, with a port of 1 to 65535, got "http://c:99999"`},
		{Config{OTLP: "http://c:4318/v1/traces"}, form + ` and nothing behind it, got "http://c:4318/v1/traces"`},
		{Config{OTLP: "http://u:hunter2@c:4317"}, form + ", without user and password: a secret must not stand in the policy file"},
		{Config{OTLP: "http://c:4317", SamplePercent: share(101)}, "samplePercent: must be 0 to 100, got 101"},
		{Config{OTLP: "http://c:4317", SamplePercent: share(math.NaN())}, "samplePercent: must be 0 to 100, got NaN"},
	}
	for _, tt := range tests {
		got := ""
		tt.config.Validate(func(field, problem string) { got += field + ": " + problem })
		if got != tt.want {
			t.Errorf("%+v: %s, want %s", tt.config, got, tt.want)
		}
	}
}
