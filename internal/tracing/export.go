package tracing

import (
	"context"
	"errors"
	"fmt"
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
	log   *slog.Logger
	tally *tally
	life  context.Context // ends what is being exported
	ended chan struct{}   // closed once nothing comes any more

	mu      sync.Mutex // guards all below
	told    int64      // of those lost
	at      time.Time  // when
	last    error      // why spans were lost
	closing bool       // Shutdown will tell
}

var (
	errGivenUp = errors.New("given up")
	errNoRoom  = errors.New("more came than the queue holds")
)

// ExportSpans sends spans. Its errors end here: whoever calls it would tell
// them to a handler of the whole process.
func (e *exporter) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(e.life, func() { cancel(errGivenUp) })()
	e.tell(len(spans), e.SpanExporter.ExportSpans(ctx, spans))
	return nil
}

// Shutdown is called once the queue is empty.
func (e *exporter) Shutdown(ctx context.Context) error {
	defer close(e.ended)
	return e.SpanExporter.Shutdown(ctx)
}

// tell counts spans that wait no longer, and tells of what was lost since it
// was last told. It counts under mu: sum sees them waiting or lost, never both.
func (e *exporter) tell(spans int, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err != nil {
		e.tally.undelivered.Add(int64(spans))
	}
	e.tally.waiting.Add(-int64(spans))
	// What is cut at the end says less than what came before it.
	if err != nil && (e.last == nil || e.life.Err() == nil) {
		e.last = err
	}
	lost := e.tally.lost()
	if e.closing || lost == e.told || !e.at.IsZero() && time.Since(e.at) < quiet {
		return
	}
	if err == nil {
		err = errNoRoom
	}
	e.log.Warn("spans not delivered", "spans", lost-e.told, "error", err.Error())
	e.told, e.at = lost, time.Now()
}

// Undelivered is what Shutdown says of spans that were lost and not yet told of.
type Undelivered struct {
	Spans int64
	Err   error
}

// Error returns why they were lost.
func (u *Undelivered) Error() string {
	return fmt.Sprintf("delivering the last spans, %d lost: %v", u.Spans, u.Err)
}

// Unwrap returns why they were lost.
func (u *Undelivered) Unwrap() error { return u.Err }

// closes keeps what was lost for the end to tell.
func (e *exporter) closes() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closing = true
}

// sum says what Shutdown has to tell when err has ended it: an *Undelivered,
// err itself, or nothing.
func (e *exporter) sum(err error) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	spans := e.tally.lost() + e.tally.waiting.Load() - e.told
	switch {
	case spans == 0:
		return err
	case err == nil && e.last == nil:
		err = errNoRoom
	case err == nil:
		err = e.last
	case e.last != nil:
		err = fmt.Errorf("%w; the collector: %w", err, e.last)
	}
	return &Undelivered{Spans: spans, Err: err}
}
