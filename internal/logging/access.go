package logging

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"sidecar/internal/exchange"
)

// Moments implements exchange.Selective.
func (*Log) Moments() exchange.Moments { return exchange.AtEnd }

// Begin does nothing: a request is told when it has ended.
func (l *Log) Begin(ctx context.Context, _ *exchange.Record) context.Context { return ctx }

// End writes the line of the request. It waits for nobody, and in JSON it
// allocates nothing unless the level is debug.
func (l *Log) End(ctx context.Context, r *exchange.Record) {
	level := slog.LevelInfo
	if r.Reason == exchange.InternalError {
		level = slog.LevelError
	}
	s := l.settings.Load()
	if s.access == "none" || level < s.level {
		return
	}
	var said []*exchange.Decision
	if r.Notable() {
		said = r.Notes()
	}
	if s.access == "errors" && r.Status < 400 && r.Reason == "" && said == nil {
		return
	}
	at := r.Start.Add(r.Took)
	if s.text {
		var room [20]slog.Attr // for every field there is
		gathered := textLine{attrs: room[:0]}
		s.tell(&gathered, r, said)
		line := slog.NewRecord(at, level, requestLine, 0)
		line.AddAttrs(gathered.attrs...)
		_ = l.handler.Handle(ctx, line) // a log that cannot be written has nobody to tell
		return
	}
	line := l.lines.begin(at, level)
	s.tell(line, r, said)
	l.lines.end(line, l.out.request)
}

// requestLine is what the line of a request is called.
const requestLine = "request"

// fields is the line of a request in one of the formats. It takes them in the
// order in which they are to stand.
type fields interface {
	text(key, value string)
	number(key string, n int64)
	millis(key string, d time.Duration)
	address(key string, a netip.Addr)
	decisions(key string, ds []*exchange.Decision) // the notable ones of ds
	header(key string, h map[string][]string)
}

// tell gives l the fields of r, in the order that the package comment gives.
// said is nil when there is nothing notable in it.
func (s *settings) tell(l fields, r *exchange.Record, said []*exchange.Decision) {
	textIf := func(key, value string) {
		if value != "" {
			l.text(key, value)
		}
	}
	l.text("request_id", r.ID)
	textIf("trace_id", r.TraceID)
	l.text("method", r.Method)
	l.text("path", r.Path)
	l.text("host", r.Host)
	l.text("proto", r.Proto)
	l.text("route", r.Route)
	textIf("upstream", r.Upstream)
	l.number("status", int64(r.Status))
	textIf("reason", string(r.Reason))
	l.number("bytes_in", r.BytesIn)
	l.number("bytes_out", r.BytesOut)
	l.millis("duration_ms", r.Took)
	attempts := r.Attempts()
	if attempts > 0 {
		l.millis("upstream_ms", r.UpstreamTook())
	}
	l.number("attempts", int64(attempts))
	if r.Client.IsValid() {
		l.address("client", r.Client)
	}
	if p := r.Principal(); p != nil {
		textIf("principal", p.Subject)
		textIf("credential", p.By)
	}
	if said != nil {
		l.decisions("decisions", said)
	}
	if s.level <= slog.LevelDebug {
		l.header("headers", s.redacted(r.RequestHeader))
	}
}

// milliseconds returns d as the log has it.
func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }

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
