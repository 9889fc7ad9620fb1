package proxy

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"

	"sidecar/internal/exchange"
)

// callContext is the context of an exchange's upstream calls. It ends as the client's
// does, and when the guard cuts it.
//
// An exchange that goes well never asks for more than whether it has ended, and
// has one wait to be ended with it (exchange.Interrupter). Only who wants a
// channel, or a context of its own below this one, has one of package context
// made.
type callContext struct {
	context.Context           // what it is made of
	x               *crossing // whose it is; nil in a throwaway one, which carries nothing of its own
	cancels         atomic.Pointer[cancels]
	over            atomic.Bool // release was called

	mu    sync.Mutex // guards all below; held while the wait is ended
	wait  func()     // nil: nobody waits
	woken bool       // wait was called
}

// cancels is a context that can be cancelled.
type cancels struct {
	context.Context
	cancel context.CancelCauseFunc
}

// on returns r under c, which is made of the context that r has.
func (c *callContext) on(r *http.Request) *http.Request {
	ctx := r.Context()
	if ctx == c {
		return r
	}
	c.Context = ctx
	return r.WithContext(c)
}

// whole returns the context that can be cancelled.
func (c *callContext) whole() *cancels {
	if w := c.cancels.Load(); w != nil {
		return w
	}
	w := &cancels{}
	w.Context, w.cancel = context.WithCancelCause(c.Context)
	if !c.cancels.CompareAndSwap(nil, w) {
		w.cancel(nil)
		return c.cancels.Load()
	}
	if c.over.Load() {
		w.cancel(nil)
	}
	return w
}

// Done implements context.Context.
func (c *callContext) Done() <-chan struct{} { return c.whole().Done() }

// Err implements context.Context.
func (c *callContext) Err() error {
	if w := c.cancels.Load(); w != nil {
		return w.Context.Err()
	}
	if c.over.Load() {
		return context.Canceled
	}
	return c.Context.Err()
}

// Value implements context.Context. Package context finds the cause in it.
func (c *callContext) Value(key any) any {
	if c.x != nil {
		if v := c.x.carried(key); v != nil {
			return v
		}
	}
	if w := c.cancels.Load(); w != nil {
		return w.Context.Value(key)
	}
	return c.Context.Value(key)
}

// Recorded returns the record of the exchange, without a search; nil: c does not
// know it.
func (c *callContext) Recorded() *exchange.Record {
	if c.x == nil {
		return nil
	}
	return &c.x.Record
}

// end ends the call with cause.
func (c *callContext) end(cause error) {
	c.whole().cancel(cause)
	c.wake()
}

// release ends what is left of the call, once it is over.
func (c *callContext) release() {
	c.over.Store(true)
	if w := c.cancels.Load(); w != nil {
		w.cancel(nil)
	}
}

// Interrupt implements exchange.Interrupter.
func (c *callContext) Interrupt(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wait != nil {
		return false
	}
	c.wait, c.woken = f, false
	if c.Err() != nil {
		c.rouse()
	}
	return true
}

// Rest implements exchange.Interrupter.
func (c *callContext) Rest() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wait = nil
	return !c.woken
}

// wake ends the wait: the context has ended.
func (c *callContext) wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rouse()
}

// rouse ends the wait, once. c.mu is held.
func (c *callContext) rouse() {
	if c.wait != nil && !c.woken {
		c.woken = true
		c.wait()
	}
}

// Tell implements exchange.Teller.
func (c *callContext) Tell(to exchange.Fields) {
	c.x.rewriter.tell(to, c.x, c.x.asked.Header, c.x.asked.RemoteAddr)
}

// Header implements exchange.Teller.
func (c *callContext) Header() http.Header {
	h := c.x.own.header
	if len(h) == 0 {
		c.Tell(asMap(h))
	}
	return h
}

var (
	_ exchange.Interrupter = (*callContext)(nil)
	_ exchange.Teller      = (*callContext)(nil)
)
