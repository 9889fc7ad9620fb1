package retry

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync"
	"time"

	"sidecar/internal/exchange"
)

// attempt makes the n-th call of req.
func (r *Retry) attempt(next http.RoundTripper, req *http.Request, body *replay, n int) (*http.Response, error) {
	if n > 1 {
		req = req.WithContext(withoutTrace{req.Context()})
	}
	limited := r.config.PerTryTimeout > 0 && n < r.config.MaxAttempts && r.onTimeouts && r.repeatable(req) && body.whole()
	if !limited {
		return next.RoundTrip(body.request(req))
	}

	ctx, cancel := context.WithCancelCause(req.Context())
	timer := startHeaderTimer(ctx, r.config.PerTryTimeout, body, cancel)
	resp, err := next.RoundTrip(body.request(req.WithContext(ctx)))
	inTime := timer.stop()
	switch {
	case !inTime:
		if err == nil {
			resp.Body.Close()
		}
		return nil, exchange.Ended(ctx)
	case err != nil:
		cancel(nil)
		return nil, err
	case resp.StatusCode == http.StatusSwitchingProtocols:
		// Its body is the connection, to be written to as well: it is passed
		// on as it is, and ends with the request's own context.
		return resp, nil
	}
	resp.Body = &cancelBody{resp.Body, cancel}
	return resp, nil
}

// cancelBody ends an attempt's context when the body is closed, no earlier: a
// transport reads the body under it.
type cancelBody struct {
	io.ReadCloser
	cancel context.CancelCauseFunc
}

func (b *cancelBody) Close() error {
	err := b.ReadCloser.Close()
	b.cancel(nil)
	return err
}

var errPerTry = errors.New("no response headers within perTryTimeout")

// headerTimer ends an attempt that has no response headers in time.
type headerTimer struct {
	wait   time.Duration
	record *exchange.Record
	body   *replay
	cancel context.CancelCauseFunc

	mu      sync.Mutex // guards all below
	timer   *time.Timer
	stopped bool // the headers came first
	fired   bool
}

func startHeaderTimer(ctx context.Context, d time.Duration, body *replay, cancel context.CancelCauseFunc) *headerTimer {
	t := &headerTimer{wait: d, record: exchange.From(ctx), body: body, cancel: cancel}
	t.mu.Lock() // it may fire before it is stored
	defer t.mu.Unlock()
	t.timer = time.AfterFunc(d, t.fire)
	return t
}

func (t *headerTimer) fire() {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.stopped, !t.body.whole(): // no other attempt is possible any more
	case t.record.Uploading():
		t.timer.Reset(t.wait) // the client is slow, not the upstream
	default:
		t.fired = true
		t.cancel(&exchange.Failure{Kind: exchange.FailedTimeout, Why: exchange.PerTryTimeout, Err: errPerTry})
	}
}

// stop ends the timer and reports whether it had not fired.
func (t *headerTimer) stop() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.timer.Stop()
	t.stopped = true
	return !t.fired
}

// withoutTrace hides the trace that ReverseProxy puts on a request's context
// to forward 1xx responses. Each attempt would forward its own, and those of
// an attempt whose answer is thrown away are not the client's. A trace cannot
// be taken off a context, and its key is not ours to name; what lies under
// the key can be told by its type.
type withoutTrace struct{ context.Context }

func (c withoutTrace) Value(key any) any {
	v := c.Context.Value(key)
	if _, ok := v.(*httptrace.ClientTrace); ok {
		return nil
	}
	return v
}

// A response that nobody will see is read to its end within these bounds, so
// that its connection can be used again.
const (
	drainSize = 64 << 10
	drainTime = 50 * time.Millisecond
)

func discard(resp *http.Response) {
	if resp == nil {
		return
	}
	defer resp.Body.Close()
	if resp.ContentLength > drainSize {
		return
	}
	closed := make(chan struct{})
	timer := time.AfterFunc(drainTime, func() { resp.Body.Close(); close(closed) })
	defer func() {
		if !timer.Stop() {
			<-closed // what resp is made in may be used again
		}
	}()
	// One byte more: the end has to be seen.
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, drainSize+1))
}
