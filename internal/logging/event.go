package logging

import (
	"context"
	"log/slog"
	"strings"

	"sidecar/internal/exchange"
)

// Event writes the line of e, unless that is a reload: who reloads says more of
// it, when it is done. It never objects.
func (l *Log) Event(e exchange.Event) error {
	level := slog.LevelInfo
	if e.Bad {
		level = slog.LevelWarn
	}
	ctx := context.Background()
	if e.Kind == exchange.Reload || !l.handler.Enabled(ctx, level) {
		return nil
	}
	line := slog.NewRecord(e.Time, level, words(e.Kind), 0)
	for _, f := range [...]struct{ key, value string }{
		{"name", e.Name},
		{"from", e.From},
		{"to", e.To},
		{"detail", e.Detail},
		{"who", e.Who.String()},
		{"request_id", e.Who.RequestID},
	} {
		if f.value != "" {
			line.AddAttrs(slog.String(f.key, f.value))
		}
	}
	if e.Line != 0 {
		line.AddAttrs(slog.Int("line", e.Line))
	}
	_ = l.handler.Handle(ctx, line) // nobody to tell, as in End
	return nil
}

// words returns a kind as it is said: circuitBreaker is "circuit breaker".
func words(kind string) string {
	var b strings.Builder
	for _, c := range kind {
		if c >= 'A' && c <= 'Z' {
			b.WriteByte(' ')
			c += 'a' - 'A'
		}
		b.WriteRune(c)
	}
	return b.String()
}
