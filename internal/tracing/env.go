package tracing

import (
	"os"
	"strconv"
	"strings"

	"sidecar/internal/exchange"
)

// environment is what those OTEL_* variables say that the libraries do not
// read, or that concern what we decide before we call them.
// https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
type environment struct {
	off     string // the variable that switches tracing off
	context bool   // traceparent and tracestate are read and written
	baggage bool   // an untrusted peer's is dropped
	sampler sampler
}

// foreign returns the fields that an untrusted peer's upstream does not see.
func (e environment) foreign() (fields []exchange.Field) {
	if e.context {
		fields = append(fields, exchange.Field{Name: traceparentHeader}, exchange.Field{Name: tracestateHeader})
	}
	if e.baggage {
		fields = append(fields, exchange.Field{Name: baggageHeader})
	}
	return fields
}

// readEnvironment reads the variables. What they say that cannot be followed
// is logged, and the default holds, as the specification has it.
func readEnvironment(w *words) environment {
	warn := w.ignored
	e := environment{sampler: readSampler(warn)}
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") {
		e.off = "OTEL_SDK_DISABLED"
	}
	switch exporter := os.Getenv("OTEL_TRACES_EXPORTER"); exporter {
	case "", "otlp":
	case "none":
		e.off = "OTEL_TRACES_EXPORTER"
	default:
		warn("OTEL_TRACES_EXPORTER", exporter, "otlp or none")
	}
	propagators := os.Getenv("OTEL_PROPAGATORS")
	if propagators == "" {
		propagators = "tracecontext,baggage"
	}
	for name := range strings.SplitSeq(propagators, ",") {
		switch strings.TrimSpace(name) {
		case "tracecontext":
			e.context = true
		case "baggage":
			e.baggage = true
		case "none":
		default:
			warn("OTEL_PROPAGATORS", name, "tracecontext, baggage or none")
		}
	}
	return e
}

func readSampler(warn func(name, value, want string)) sampler {
	const name, argument = "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"
	value := os.Getenv(name)
	kind, parentBased := strings.CutPrefix(value, "parentbased_")
	switch kind {
	case "always_on":
		return sampler{parentBased, whole}
	case "always_off":
		return sampler{parentBased, 0}
	case "traceidratio":
		share, err := strconv.ParseFloat(os.Getenv(argument), 64)
		if err != nil || !(share >= 0 && share <= 1) {
			share = 1
			if given := os.Getenv(argument); given != "" {
				warn(argument, given, "a number from 0 to 1")
			}
		}
		return sampler{parentBased, ratio(share)}
	case "":
	default:
		warn(name, value, "[parentbased_]always_on, always_off or traceidratio")
	}
	return sampler{parentBased: true, bound: whole}
}
