package downstream

import (
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
	if w := x.whole.Load(); w != nil {
		return w.Done()
	}
	x.mu.Lock()
	if x.whole.Load() == nil {
		w := &cancels{}
		w.Context, w.cancel = context.WithCancel(x.c.s.base)
		if x.over.Load() {
			w.cancel()
		}
		x.whole.Store(w)
	}
	x.mu.Unlock()
	x.watch()
	return x.whole.Load().Done()
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
	if !x.c.touched.Load() {
		x.c.arm(time.Time{})
	}
	x.watched = make(chan struct{})
	go func() {
		defer close(x.watched)
		// Whatever comes, another request it may be, ends the watch.
		if _, err := x.c.in.Peek(x.c.in.Buffered() + 1); err != nil {
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
	x.mu.Unlock()
	if w := x.whole.Load(); w != nil {
		w.cancel()
	}
	if watched != nil {
		_ = x.c.nc.SetReadDeadline(time.Unix(1, 0))
		<-watched
		x.c.touched.Store(true)
	}
}

// setReadDeadline does that on behalf of a handler.
func (x *requestContext) setReadDeadline(at time.Time) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.c.touched.Store(true)
	return x.c.nc.SetReadDeadline(at)
}

// fail ends the context since the client does not take its answer.
func (x *requestContext) fail() {
	if w := x.whole.Load(); w != nil {
		w.cancel()
	}
}
