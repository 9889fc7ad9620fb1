package tracing

import (
	"os"
	"strconv"
	"sync/atomic"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/trace"
)

// batching is how spans wait for the collector, as OTEL_BSP_* says.
type batching struct {
	queue, batch   int
	delay, timeout time.Duration
}

// readBatching reads the variables, so that one that cannot be followed is told
// of, and a queue of less than nothing stops nobody.
func readBatching(w *words) batching {
	number := func(name string, otherwise int) int {
		value := os.Getenv(name)
		n, err := strconv.Atoi(value)
		switch {
		case value == "":
			return otherwise
		case err != nil || n < 1:
			w.ignored(name, value, "a whole number above 0")
			return otherwise
		}
		return n
	}
	b := batching{
		queue:   number("OTEL_BSP_MAX_QUEUE_SIZE", sdk.DefaultMaxQueueSize),
		batch:   number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", sdk.DefaultMaxExportBatchSize),
		delay:   time.Duration(number("OTEL_BSP_SCHEDULE_DELAY", sdk.DefaultScheduleDelay)) * time.Millisecond,
		timeout: time.Duration(number("OTEL_BSP_EXPORT_TIMEOUT", sdk.DefaultExportTimeout)) * time.Millisecond,
	}
	b.batch = min(b.batch, b.queue)
	return b
}

// options returns b as the library takes it.
func (b batching) options() []sdk.BatchSpanProcessorOption {
	return []sdk.BatchSpanProcessorOption{
		sdk.WithMaxQueueSize(b.queue), sdk.WithMaxExportBatchSize(b.batch),
		sdk.WithBatchTimeout(b.delay), sdk.WithExportTimeout(b.timeout),
	}
}

// queue lets no more spans by than may wait. The library would drop them too,
// but does not tell.
type queue struct {
	sdk.SpanProcessor
	most  int64
	tally *tally
}

// OnEnd keeps s, if there is room.
func (q *queue) OnEnd(s sdk.ReadOnlySpan) {
	if q.tally.waiting.Add(1) > q.most {
		q.tally.waiting.Add(-1)
		q.tally.noRoom.Add(1)
		return
	}
	q.SpanProcessor.OnEnd(s)
}

// tally counts spans.
type tally struct {
	waiting     atomic.Int64 // in the queue or on their way
	noRoom      atomic.Int64 // lost: the queue was full
	undelivered atomic.Int64 // lost: the collector did not take them
}

func (t *tally) lost() int64 { return t.noRoom.Load() + t.undelivered.Load() }
