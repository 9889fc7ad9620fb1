package downstream

import (
	"bufio"
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// requestContext is a request's context. It ends with the request, with the
// server's, and when the client leaves: that is watched only for who asks for
// Done, and as by net/http only once the body was read to its end.
type requestContext struct {
	c     *conn
	whole atomic.Pointer[cancels] // nil: nobody has asked for Done
	atEnd atomic.Bool             // the body has been read

	mu      sync.Mutex // guards all below, and that only one sets the read deadline
	over    atomic.Bool
	hurried bool          // a handler has set a read deadline for what comes behind the body
	watched chan struct{} // closed when the watch is over; nil: there is none
}

type cancels struct {
	context.Context
	cancel context.CancelFunc
}

// Deadline implements context.Context.
func (x *requestContext) Deadline() (time.Time, bool) { return x.c.s.base.Deadline() }

// Done implements context.Context.
func (x *requestContext) Done() <-chan struct{} {
	w := x.whole.Load()
	if w == nil {
		w = x.complete()
		x.watch()
	}
	return w.Done()
}

// complete makes what can be cancelled.
func (x *requestContext) complete() *cancels {
	x.mu.Lock()
	defer x.mu.Unlock()
	if w := x.whole.Load(); w != nil {
		return w
	}
	w := &cancels{}
	w.Context, w.cancel = context.WithCancel(x.c.s.base)
	if x.over.Load() {
		w.cancel()
	}
	x.whole.Store(w)
	return w
}

// Err implements context.Context.
func (x *requestContext) Err() error {
	if w := x.whole.Load(); w != nil {
		return w.Err()
	}
	if x.over.Load() {
		return context.Canceled
	}
	return x.c.s.base.Err()
}

// Value implements context.Context.
func (x *requestContext) Value(key any) any {
	switch key {
	case http.ServerContextKey:
		return x.c.s.standard
	case http.LocalAddrContextKey:
		return x.c.nc.LocalAddr()
	}
	if w := x.whole.Load(); w != nil {
		return w.Value(key)
	}
	return x.c.s.base.Value(key)
}

// bodyRead says that the body has been read to its end.
func (x *requestContext) bodyRead() {
	x.atEnd.Store(true)
	x.watch()
}

// watch watches for the client's leaving, if that is asked for and nobody else
// reads what it sends.
func (x *requestContext) watch() {
	x.mu.Lock()
	defer x.mu.Unlock()
	w := x.whole.Load()
	if w == nil || !x.atEnd.Load() || x.over.Load() || x.watched != nil {
		return
	}
	if !x.hurried {
		x.c.arm(time.Time{})
	}
	x.watched = make(chan struct{})
	go func() {
		defer close(x.watched)
		// Whatever comes, another request it may be, ends the watch.
		if _, err := x.c.in.Peek(x.c.in.Buffered() + 1); err != nil && err != bufio.ErrBufferFull {
			w.cancel()
		}
	}()
}

// end ends the context. Nobody reads from the connection when it returns, but
// who reads the body.
func (x *requestContext) end() {
	x.mu.Lock()
	x.over.Store(true)
	watched := x.watched
	if watched != nil {
		_ = x.c.nc.SetReadDeadline(time.Unix(1, 0))
	}
	x.mu.Unlock()
	if w := x.whole.Load(); w != nil {
		w.cancel()
	}
	if watched != nil {
		<-watched
		x.c.touched.Store(true)
	}
}

// setReadDeadline does that on behalf of a handler. One for the body ends with
// it, as by net/http; one for another request is not this one's to set.
func (x *requestContext) setReadDeadline(at time.Time) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.over.Load() {
		return context.Canceled
	}
	x.hurried = x.atEnd.Load()
	x.c.touched.Store(true)
	return x.c.nc.SetReadDeadline(at)
}

// fail ends the context since its connection has failed, also for who asks
// only then.
func (x *requestContext) fail() { x.complete().cancel() }
