package breaker

import (
	"io"
	"net/http"
	"sync"

	"sidecar/internal/exchange"
)

// instead answers r in place of refusal, if anything does: the other upstream,
// where the body of r is still whole, or a response of our own. If the other
// one's breaker refuses too, that has the same response to give.
func (b *Breaker) instead(r *http.Request, refusal *exchange.Refusal, whole bool) (*http.Response, error) {
	if b.other == nil {
		exchange.CloseBody(r)
		return b.respond(r, refusal)
	}
	rec, to := exchange.From(r.Context()), b.config.Fallback.Upstream
	d := b.decision(exchange.Act, exchange.FallbackUpstream, string(refusal.Reason)+": upstream "+to+" is asked")
	if !whole {
		d.Outcome, d.Reason, d.Detail = exchange.Broken, exchange.BodyNotReplayable, "upstream "+to+" is not asked"
		rec.Note(d)
		return b.respond(r, refusal)
	}
	rec.Note(d)
	rec.Divert(to)
	return b.other.RoundTrip(r)
}

// respond answers r with a response of our own in place of refusal, if there is
// one: a gRPC client could not read it.
func (b *Breaker) respond(r *http.Request, refusal *exchange.Refusal) (*http.Response, error) {
	if b.config.Fallback == nil || exchange.IsGRPC(r) {
		return nil, refusal
	}
	status, contentType, body := b.config.Fallback.response()
	if status == 0 {
		return nil, refusal
	}
	exchange.From(r.Context()).Note(b.decision(exchange.Act, exchange.FallbackServed, string(refusal.Reason)))
	var header http.Header
	if status == http.StatusServiceUnavailable {
		header = refusal.Header // any other status says nothing of coming back
	}
	// It is no attempt's answer, also when there was one.
	r = r.WithContext(exchange.WithAttempt(r.Context(), &exchange.Attempt{}))
	return exchange.NewResponse(r, status, contentType, []byte(body), header), nil
}

// decision returns a word of the Fallback.
func (b *Breaker) decision(outcome exchange.Outcome, reason exchange.Reason, detail string) exchange.Decision {
	return exchange.Decision{
		Kind: exchange.CircuitBreaker, Policy: b.name, Outcome: outcome, Reason: reason, Detail: detail, Line: b.config.Fallback.Line,
	}
}

// hold returns r as it is sent on, with a body that another upstream can have
// as long as nobody has read of it. The body is nil where there is nothing to
// hold.
func (b *Breaker) hold(r *http.Request) (*http.Request, *heldBody) {
	if b.other == nil || r.Body == nil || r.Body == http.NoBody {
		return r, nil
	}
	body := &heldBody{body: r.Body}
	r = r.WithContext(r.Context())
	r.Body = body
	return r, body
}

// heldBody is the client's body for as long as nobody else takes it. To close
// it ends this reader, not the client's body: the server closes that.
type heldBody struct {
	body io.Reader

	mu     sync.Mutex // guards all below; not held over a Read
	read   bool
	closed bool
}

// Read implements io.Reader.
func (b *heldBody) Read(p []byte) (int, error) {
	if !b.begin() {
		return 0, http.ErrBodyReadAfterClose
	}
	return b.body.Read(p)
}

func (b *heldBody) begin() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.read = b.read || !b.closed
	return !b.closed
}

// Close implements io.Closer.
func (b *heldBody) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	return nil
}

// take ends this reader, and reports whether the body is whole.
func (b *heldBody) take() bool {
	if b == nil {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	return !b.read
}
