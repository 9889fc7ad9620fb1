package logging

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"sidecar/internal/exchange"
)

// Begin does nothing: a request is told when it has ended.
func (l *Log) Begin(ctx context.Context, _ *exchange.Record) context.Context { return ctx }

// End writes the line of the request.
func (l *Log) End(ctx context.Context, r *exchange.Record) {
	level := slog.LevelInfo
	if r.Reason == exchange.InternalError {
		level = slog.LevelError
	}
	s := l.settings.Load()
	if s.access == "none" || level < s.level {
		return
	}
	notes := notable(r.Decisions())
	if s.access == "errors" && r.Status < 400 && r.Reason == "" && notes == nil {
		return
	}
	line := slog.NewRecord(r.Start.Add(r.Took), level, "request", 0)
	var room [20]slog.Attr // for every field there is
	line.AddAttrs(s.fields(room[:0], r, notes)...)
	_ = l.handler.Handle(ctx, line) // a log that cannot be written has nobody to tell
}

// fields appends the fields of r's line to attrs, in the order that the
// package comment gives.
func (s *settings) fields(attrs []slog.Attr, r *exchange.Record, notes []note) []slog.Attr {
	add := func(a slog.Attr) { attrs = append(attrs, a) }
	addIf := func(key, value string) {
		if value != "" {
			add(slog.String(key, value))
		}
	}
	add(slog.String("request_id", r.ID))
	addIf("trace_id", r.TraceID)
	add(slog.String("method", r.Method))
	add(slog.String("path", r.Path))
	add(slog.String("host", r.Host))
	add(slog.String("proto", r.Proto))
	add(slog.String("route", r.Route))
	addIf("upstream", r.Upstream)
	add(slog.Int("status", r.Status))
	addIf("reason", string(r.Reason))
	add(slog.Int64("bytes_in", r.BytesIn))
	add(slog.Int64("bytes_out", r.BytesOut))
	add(slog.Float64("duration_ms", float64(r.Took.Microseconds())/1e3))
	attempts := r.Attempts()
	if attempts > 0 {
		add(slog.Float64("upstream_ms", float64(r.UpstreamTook().Microseconds())/1e3))
	}
	add(slog.Int("attempts", attempts))
	if r.Client.IsValid() {
		add(slog.String("client", r.Client.String()))
	}
	if p := r.Principal(); p != nil {
		addIf("principal", p.Subject)
		addIf("credential", p.By)
	}
	if notes != nil {
		add(slog.Any("decisions", notes))
	}
	if s.level <= slog.LevelDebug {
		add(slog.Any("headers", s.redacted(r.RequestHeader)))
	}
	return attrs
}

// note is a decision as it is written. Its String is for the text format.
type note struct {
	Kind    string           `json:"kind"`
	Policy  string           `json:"policy,omitempty"`
	Outcome exchange.Outcome `json:"outcome"`
	Reason  exchange.Reason  `json:"reason,omitempty"`
	Rule    string           `json:"rule,omitempty"`
	Detail  string           `json:"detail,omitempty"`
	Line    int              `json:"line,omitempty"`
}

func (n note) String() string {
	s := n.Kind
	if n.Policy != "" {
		s += "/" + n.Policy
	}
	s += " " + string(n.Outcome)
	if n.Reason != "" {
		s += " " + string(n.Reason)
	}
	if n.Line != 0 {
		s += fmt.Sprintf(" (line %d)", n.Line)
	}
	if n.Detail != "" {
		s += ": " + n.Detail
	}
	return s
}

// notable returns those of ds that are more than a plain pass.
func notable(ds []exchange.Decision) (notes []note) {
	for i := range ds {
		d := &ds[i]
		if d.Notable() {
			notes = append(notes, note{d.Kind, d.Policy, d.Outcome, d.Reason, d.Rule, d.Detail, d.Line})
		}
	}
	return notes
}

// redacted returns a copy of h without its secrets. That a field was there is
// told.
func (s *settings) redacted(h http.Header) map[string][]string {
	out := make(map[string][]string, len(h))
	for name, values := range h {
		// An upstream may read X_Api_Key as X-Api-Key, and so may its client.
		plain := exchange.Dashed(http.CanonicalHeaderKey(name))
		switch {
		case s.redact[plain]:
			values = []string{"***"}
		case plain == "Referer": // a URL, and so may have a query
			values = []string{strings.SplitN(strings.Join(values, ", "), "?", 2)[0]}
		}
		out[name] = values
	}
	return out
}
