package logging

import (
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"sidecar/internal/exchange"
)

// textLine gathers the fields of a line for slog to write.
type textLine struct{ attrs []slog.Attr }

func (l *textLine) add(a slog.Attr) { l.attrs = append(l.attrs, a) }

func (l *textLine) text(key, value string)     { l.add(slog.String(key, value)) }
func (l *textLine) number(key string, n int64) { l.add(slog.Int64(key, n)) }

func (l *textLine) millis(key string, d time.Duration) { l.add(slog.Float64(key, milliseconds(d))) }
func (l *textLine) address(key string, a netip.Addr)   { l.add(slog.String(key, a.String())) }

func (l *textLine) header(key string, h map[string][]string) { l.add(slog.Any(key, h)) }

func (l *textLine) decisions(key string, ds []*exchange.Decision) {
	var notes []note
	for _, d := range ds {
		if d.Notable() {
			notes = append(notes, note(*d))
		}
	}
	l.add(slog.Any(key, notes))
}

// note is a decision that can say itself in one piece.
type note exchange.Decision

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
