package proxy

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	"sidecar/internal/exchange"
)

// crossing is one request's way through the proxy: the record, both ends of
// the client's side, what goes to the upstream, and what bounds it in time. It
// is the context of the request as well: the client's connection's, which
// carries all these.
//
// One that nobody can hold any more is used for another request: see keep.
type crossing struct {
	exchange.Carrier
	body     clientBody
	writer   writer
	guard    guard
	call     callContext      // the context of the calls to the upstream
	first    exchange.Attempt // of them
	sent     sentBody
	asked    *http.Request // at the seam, by the client
	rewriter *rewriter
	target   url.URL
	duplex   bool // HTTP/1 with a body

	watched watchedBody // the upstream's, once it has answered

	// lent: somebody may look at the crossing when its exchange is over, as one
	// does who has made a context of it.
	lent atomic.Bool
	own  *own
}

// own is what a crossing keeps from one request to the next.
type own struct {
	in, out *http.Request   // under the crossing, and under its call
	traced  context.Context // the crossing, with a trace that forwards 1xx responses
	interim interim
	header  http.Header // of out
	values  []string    // of header, as far as they are ours
	bell    bell
	answer  exchange.Memory // of the first attempt; nil: none
}

// The most that a crossing keeps: what a request had more is let go.
const (
	maxKeptFields = 64
	maxKeptValues = 32
)

type crossingKey struct{}

// Value returns x, or what x or the connection's context carries.
func (x *crossing) Value(key any) any {
	if v := x.carried(key); v != nil {
		return v
	}
	return x.Context.Value(key)
}

// carried returns x, or what x carries; nil: neither is asked for.
func (x *crossing) carried(key any) any {
	if key == (crossingKey{}) {
		return x
	}
	return x.Carried(key)
}

// Done implements context.Context. Who asks wants to be woken, and may look at x
// when its exchange is over.
func (x *crossing) Done() <-chan struct{} {
	x.lent.Store(true)
	return x.Carrier.Context.Done()
}

// crossingOf returns the crossing of r; outside the proxy, as in a test of one
// layer, a throwaway one.
func crossingOf(r *http.Request) *crossing {
	switch ctx := r.Context().(type) {
	case *crossing:
		return ctx
	case *callContext:
		if ctx.x != nil {
			return ctx.x
		}
	}
	if x, ok := r.Context().Value(crossingKey{}).(*crossing); ok {
		return x
	}
	return newCrossing()
}

func newCrossing() *crossing {
	x := &crossing{own: &own{header: http.Header{}}}
	x.Context = context.Background()
	x.own.interim.x = x
	x.own.in = new(http.Request).WithContext(x)
	x.own.out = new(http.Request).WithContext(&x.call)
	x.own.traced = x.own.interim.trace(x)
	return x
}

// open returns the crossing of r.
func (p *Proxy) open(w http.ResponseWriter, r *http.Request, t trusted) *crossing {
	x, ok := p.crossings.Get().(*crossing)
	if !ok {
		x = newCrossing()
	}
	from := peer(r)
	trusted := t.holds(from.Addr())
	x.Context, x.call.x = r.Context(), x
	x.guard.x, x.guard.bell = x, &x.own.bell
	x.body.ReadCloser, x.body.x, x.body.ctx = r.Body, x, x.Context
	x.writer.ResponseWriter, x.writer.x = w, x
	x.writer.http1, x.writer.draining = r.ProtoMajor == 1, &p.draining
	rec := &x.Record
	rec.ID, rec.Start = requestID(r, trusted), time.Now()
	rec.Method, rec.Host, rec.Proto, rec.Scheme = r.Method, r.Host, r.Proto, scheme(r, trusted)
	rec.Client, rec.Peer, rec.Trusted, rec.GRPC = t.client(r, from.Addr()), from, trusted, exchange.IsGRPC(r)
	rec.RequestHeader, rec.Route = r.Header, exchange.NoRouteName
	return x
}

// keep lets x be used for another request, if nobody can hold it: the exchange
// is over, and went so well that nobody made a context of it.
func (p *Proxy) keep(x *crossing) {
	o := x.own
	if x.lent.Load() || len(o.header) > maxKeptFields || len(o.values) > maxKeptValues {
		return
	}
	o.answer = nil
	if x.first.Kept != nil && x.Record.Attempts() == 1 { // else somebody may be reading the first answer to its end
		o.answer = x.first.Kept
		o.answer.Clear()
	}
	clear(o.header)
	clear(o.values)
	o.values = o.values[:0]
	o.interim.done = false
	fill(o.in, &http.Request{})
	fill(o.out, &http.Request{})
	*x = crossing{own: o}
	p.crossings.Put(x)
}

// request returns r, which x was opened for, under ctx.
func (x *crossing) request(r *http.Request, ctx context.Context) *http.Request {
	if ctx != x {
		x.lent.Store(true) // an observer has made it of x
		return r.WithContext(ctx)
	}
	fill(x.own.in, r)
	return x.own.in
}

// fill makes dst the same request as src, but for its context.
func fill(dst, src *http.Request) {
	dst.Method, dst.URL, dst.Host, dst.RequestURI = src.Method, src.URL, src.Host, src.RequestURI
	dst.Proto, dst.ProtoMajor, dst.ProtoMinor = src.Proto, src.ProtoMajor, src.ProtoMinor
	dst.Header, dst.Trailer, dst.TransferEncoding = src.Header, src.Trailer, src.TransferEncoding
	dst.Body, dst.GetBody, dst.ContentLength, dst.Close = src.Body, src.GetBody, src.ContentLength, src.Close
	dst.Form, dst.PostForm, dst.MultipartForm = src.Form, src.PostForm, src.MultipartForm
	dst.RemoteAddr, dst.TLS, dst.Response, dst.Pattern = src.RemoteAddr, src.TLS, src.Response, src.Pattern
}

// one returns a field's values that are value alone.
func (o *own) one(value string) []string {
	o.values = append(o.values, value)
	n := len(o.values)
	return o.values[n-1 : n : n]
}

// more returns values and another one.
func (o *own) more(values []string, value string) []string {
	if len(values) == 0 {
		return o.one(value)
	}
	return append(slices.Clip(values), value)
}
