package tracing

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/sdk/resource"
)

// words passes on to the log what we and OpenTelemetry's libraries have to say.
// A variable that cannot be followed is named once, whoever finds it so.
type words struct {
	log *slog.Logger

	mu   sync.Mutex // guards said
	said map[string]bool
}

var _ logr.LogSink = (*words)(nil)

// listen returns the words of the whole process from now on: the libraries
// speak through variables of theirs, and there is no other way to hear them.
// By themselves they write to stderr, in a form of their own.
func listen(log *slog.Logger) *words {
	w := &words{log: log}
	otel.SetLogger(logr.New(w))
	otel.SetErrorHandler(w)
	return w
}

// ignored warns of a variable whose value is not what it must be.
func (w *words) ignored(name, value, want string) {
	w.once(name, "value", value, "want", want)
}

func (w *words) once(name string, more ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.said[name] {
		return
	}
	if w.said == nil {
		w.said = map[string]bool{}
	}
	w.said[name] = true
	w.log.Warn("environment variable ignored", append([]any{"name", name}, more...)...)
}

// Handle implements otel.ErrorHandler.
func (w *words) Handle(err error) {
	text := err.Error()
	// The library has a sampler of its own, which we do not use, and reads its
	// variables nevertheless: readSampler has said what is wrong with them.
	if strings.Contains(text, "sampler") || strings.Contains(text, "trace ID ratio") {
		return
	}
	if errors.Is(err, resource.ErrPartialResource) { // only the environment's can fail
		w.once("OTEL_RESOURCE_ATTRIBUTES", "error", text)
		return
	}
	w.log.Warn("tracing", "error", text)
}

// The levels of OpenTelemetry's libraries.
const (
	libraryWarns   = 1
	libraryInforms = 4
)

// Init does nothing.
func (w *words) Init(logr.RuntimeInfo) {}

// Enabled keeps out what they say for their own developers.
func (w *words) Enabled(level int) bool { return level <= libraryInforms }

// Info passes on warnings, and the one piece of information that is one: a
// variable that is not a number.
func (w *words) Info(level int, msg string, about ...any) {
	if level <= libraryWarns {
		w.log.Warn("tracing", append([]any{"says", msg}, about...)...)
		return
	}
	if len(about) != 2 {
		return
	}
	if name := fmt.Sprint(about[0]); strings.HasPrefix(name, "OTEL_") {
		w.ignored(name, fmt.Sprint(about[1]), "a whole number")
	}
}

// Error passes on what is wrong; about may hold a secret, such as a part of
// OTEL_EXPORTER_OTLP_HEADERS, and is left out.
func (w *words) Error(err error, msg string, _ ...any) {
	suffixes, known := culprits[msg]
	if !known {
		w.log.Warn("tracing", "says", msg, "error", err.Error())
		return
	}
	var names []string
	for _, prefix := range []string{"OTEL_EXPORTER_OTLP_", "OTEL_EXPORTER_OTLP_TRACES_"} {
		for _, suffix := range suffixes {
			if os.Getenv(prefix+suffix) != "" {
				names = append(names, prefix+suffix)
			}
		}
	}
	text := err.Error()
	switch msg { // the error quotes what may be a secret, or does not say what would be right
	case "escape header value":
		text = "not percent-encoded"
	case "parse duration":
		text = "must be whole milliseconds"
	case "parse url":
		text = "not a URL"
	}
	w.once(strings.Join(names, " or "), "says", msg, "error", text)
}

// culprits are the variables, without their prefix, that the exporter speaks
// of: it does not name them itself.
var culprits = map[string][]string{
	"parse duration":             {"TIMEOUT"},
	"parse url":                  {"ENDPOINT"},
	"read tls ca cert file":      {"CERTIFICATE"},
	"create tls cert pool":       {"CERTIFICATE"},
	"read tls client cert":       {"CLIENT_CERTIFICATE"},
	"read tls client key":        {"CLIENT_KEY"},
	"create tls client key pair": {"CLIENT_CERTIFICATE", "CLIENT_KEY"},
	"parse headers":              {"HEADERS"},
	"escape header value":        {"HEADERS"},
}

// WithValues returns w: the libraries add none.
func (w *words) WithValues(...any) logr.LogSink { return w }

// WithName returns w: the libraries have none.
func (w *words) WithName(string) logr.LogSink { return w }
