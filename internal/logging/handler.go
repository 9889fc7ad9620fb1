package logging

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
)

// handler writes in the format and from the level that hold now. It keeps a
// handler of either format, so that attributes added by With survive a change.
type handler struct {
	json, text slog.Handler
	settings   *atomic.Pointer[settings]
}

func newHandler(w io.Writer, s *atomic.Pointer[settings]) *handler {
	return &handler{json: slog.NewJSONHandler(w, nil), text: slog.NewTextHandler(w, nil), settings: s}
}

// Enabled implements slog.Handler.
func (h *handler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.settings.Load().level
}

// Handle implements slog.Handler.
func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	if h.settings.Load().text {
		return h.text.Handle(ctx, r)
	}
	return h.json.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &handler{h.json.WithAttrs(attrs), h.text.WithAttrs(attrs), h.settings}
}

// WithGroup implements slog.Handler.
func (h *handler) WithGroup(name string) slog.Handler {
	return &handler{h.json.WithGroup(name), h.text.WithGroup(name), h.settings}
}

// noiseFilter puts noise down to level debug.
type noiseFilter struct{ *handler }

// Handle implements slog.Handler.
func (f noiseFilter) Handle(ctx context.Context, r slog.Record) error {
	// What an upstream says too much is a body, and no body is written.
	r.Message, _, _ = strings.Cut(r.Message, " starting with")
	if noise(r.Message) {
		if r.Level = slog.LevelDebug; !f.Enabled(ctx, r.Level) {
			return nil
		}
	}
	return f.handler.Handle(ctx, r)
}
