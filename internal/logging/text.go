package logging

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"sidecar/internal/exchange"
)

// endText is End for a line that slog writes.
func (l *Log) endText(ctx context.Context, s *settings, level slog.Level, r *exchange.Record, said []*exchange.Decision) {
	var room [20]slog.Attr // for every field there is
	gathered := textLine{attrs: room[:0]}
	s.tell(&gathered, r, said)
	line := slog.NewRecord(r.Start.Add(r.Took), level, requestLine, 0)
	line.AddAttrs(gathered.attrs...)
	_ = l.handler.Handle(ctx, line) // a log that cannot be written has nobody to tell
}

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

// tell gives l the fields of r, in the order that the package comment gives.
// said is nil when there is nothing notable in it.
func (s *settings) tell(l *textLine, r *exchange.Record, said []*exchange.Decision) {
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
