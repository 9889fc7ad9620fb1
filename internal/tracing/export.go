package tracing

import (
	"context"
	"log/slog"
	"sync"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/trace"
)

// quiet is how long the log hears nothing more of spans that were lost.
const quiet = time.Minute

// exporter tells the log of spans that were lost. A collector that is away is
// told of once a minute, however many requests there are.
type exporter struct {
	sdk.SpanExporter
	log  *slog.Logger
	life context.Context // ends what is being exported

	mu   sync.Mutex // guards lost and told
	lost int        // since told
	told time.Time
}

// ExportSpans sends spans. Its errors end here: whoever calls it would tell
// them to a handler of the whole process.
func (e *exporter) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(e.life, cancel)()
	if err := e.SpanExporter.ExportSpans(ctx, spans); err != nil {
		e.tell(len(spans), err)
	}
	return nil
}

func (e *exporter) tell(spans int, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lost += spans
	if !e.told.IsZero() && time.Since(e.told) < quiet {
		return
	}
	e.log.Warn("spans not delivered", "spans", e.lost, "error", err.Error())
	e.lost, e.told = 0, time.Now()
}
