package logging

import (
	"context"
	"log/slog"
	"net/http"
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
	if s.text {
		l.endText(ctx, s, level, r, said)
		return
	}
	line := l.lines.begin(r.Start.Add(r.Took), level)
	line.tell(r, said)
	if s.level <= slog.LevelDebug {
		line.header("headers", s.redacted(r.RequestHeader))
	}
	l.lines.end(line, l.out.request)
}

// requestLine is what the line of a request is called.
const requestLine = "request"

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
