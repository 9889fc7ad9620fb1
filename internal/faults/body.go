package faults

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"sidecar/internal/exchange"
)

// hasBody reports whether resp, the answer to r, has a body that can be broken.
// That of an upgraded connection is the connection itself.
func hasBody(resp *http.Response, r *http.Request) bool {
	return r.Method != http.MethodHead && resp.ContentLength != 0 && resp.Body != nil && resp.Body != http.NoBody &&
		resp.StatusCode != http.StatusSwitchingProtocols
}

// brokenBody is the body of an answer as a fault has it. When the fault ends,
// what is left comes as it is. What is cut or changed counts when it is: a short
// body may be neither.
type brokenBody struct {
	io.ReadCloser
	ctx     context.Context // of the call
	hit     *hit
	attempt *exchange.Attempt
	over    <-chan struct{} // the end of the fault
	ending  sync.Once
	closed  chan struct{}

	noted, spoiled bool

	pace pace
	cut  bool
	left int64 // until it is cut

	corrupt float64
	draws   draws
	gap     int64 // bytes that stay as they are before the next that does not
}

func newBrokenBody(ctx context.Context, h *hit, resp *http.Response, a *exchange.Attempt) *brokenBody {
	b := &brokenBody{
		ReadCloser: resp.Body, ctx: ctx, hit: h, attempt: a, over: h.run.over, closed: make(chan struct{}),
		pace: pace{rate: int64(h.body.Bandwidth)}, corrupt: h.body.Corrupt, draws: h.draws,
	}
	if after := int64(h.body.TruncateAfter); after > 0 {
		b.cut, b.left = true, after
	}
	if b.corrupt > 0 {
		b.gap = b.draws.gap(b.corrupt)
	}
	if b.pace.rate > 0 {
		b.acts()
	}
	return b
}

// acts notes, once, that the fault does something to the body.
func (b *brokenBody) acts() {
	if !b.noted {
		b.noted = true
		b.hit.act(exchange.From(b.ctx), exchange.FaultBody, b.hit.body.String())
	}
}

func (b *brokenBody) Read(p []byte) (int, error) {
	if b.hit.run.isOver() || len(p) == 0 {
		return b.ReadCloser.Read(p)
	}
	if b.cut && b.left == 0 {
		return b.readCut()
	}
	if b.cut {
		p = p[:min(int64(len(p)), b.left)]
	}
	if err := b.wait(); err != nil {
		return 0, err
	}
	n, err := b.ReadCloser.Read(b.pace.portion(p))
	b.pace.took(n)
	b.spoil(p[:n])
	b.left -= int64(n)
	return n, err
}

// readCut breaks the body off, unless it ends here by itself.
func (b *brokenBody) readCut() (int, error) {
	var more [1]byte
	n, err := b.ReadCloser.Read(more[:])
	if n == 0 {
		return 0, err
	}
	b.acts()
	b.ReadCloser.Close() // as a connection that breaks would
	return 0, fmt.Errorf("fault %s: body cut off: %w", b.hit.name, io.ErrUnexpectedEOF)
}

// wait returns when the next portion may come.
func (b *brokenBody) wait() error {
	d := time.Until(b.pace.next)
	if b.pace.rate == 0 || d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-b.over:
	case <-b.closed:
		return http.ErrBodyReadAfterClose
	case <-b.ctx.Done():
		return exchange.Ended(b.ctx)
	}
	return nil
}

// spoil changes those of the bytes p that are drawn. None stays what it was.
func (b *brokenBody) spoil(p []byte) {
	if b.corrupt == 0 {
		return
	}
	if b.gap < int64(len(p)) && !b.spoiled {
		b.spoiled = true
		b.acts()
		b.attempt.Spoiled = append(b.attempt.Spoiled, b.hit.name)
	}
	for b.gap < int64(len(p)) {
		p[b.gap] ^= 1 + byte(b.draws.next()*255)
		b.gap += 1 + b.draws.gap(b.corrupt)
	}
	b.gap -= int64(len(p))
}

// Close closes the body, and ends a Read that waits.
func (b *brokenBody) Close() error {
	b.ending.Do(func() { close(b.closed) })
	return b.ReadCloser.Close()
}

// pace spreads a body over time, in portions.
type pace struct {
	rate int64     // in bytes a second; 0 is no bound
	next time.Time // when the next portion may come
}

// portions is how many there are in a second, where a byte is not longer.
const portions = 20

// portion returns how much of p may be read at once.
func (c *pace) portion(p []byte) []byte {
	if c.rate == 0 {
		return p
	}
	return p[:min(int64(len(p)), max(1, c.rate/portions))]
}

// took says that n bytes have come.
func (c *pace) took(n int) {
	if c.rate == 0 {
		return
	}
	from := c.next
	if now := time.Now(); now.Sub(from) > time.Second/portions { // who was away does not get it all at once
		from = now
	}
	c.next = from.Add(time.Duration(int64(n) * int64(time.Second) / c.rate))
}
