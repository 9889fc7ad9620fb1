package proxy

import (
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"sidecar/internal/exchange"
)

// ServeHTTP takes r through the policy that holds when it arrives. It opens
// the record, and seals it and hands it out when all is over.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s := p.snapshot.Load()
	p.inFlight.Add(1)
	defer p.inFlight.Add(-1)

	x := p.open(w, r, s.trusted)
	rec := &x.Record
	rec.PolicyHash = s.file.Hash()
	rt, unrouted := s.route(r)
	rec.Path = r.URL.Path // only now: a URL without a path has got one
	if unrouted == nil {
		rec.Route, rec.Upstream = rt.name, rt.upstream
	}
	ctx := p.options.watch.Begin(x, rec)
	defer func() {
		panicked := recover()
		x.close(panicked)
		p.options.watch.End(ctx, rec)
		if panicked != nil {
			x.abandon()
		}
		if panicked != nil || x.release() != nil {
			panic(http.ErrAbortHandler) // the one that the server takes silently
		}
		p.keep(x)
	}()

	r = x.request(r, ctx)
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = &x.body
		// An upstream may answer before it has read all. net/http would then
		// read up to 256 KiB of the body by itself before it writes a header,
		// and the upstream would miss them. HTTP/2 always is full duplex.
		x.duplex = r.ProtoMajor == 1 && http.NewResponseController(w).EnableFullDuplex() == nil
	}
	if unrouted != nil {
		answer(&x.writer, r, unrouted)
		return
	}
	rt.serve(&x.writer, r)
}

// close completes the record. panicked is what ended the exchange, if not its
// handler.
func (x *crossing) close(panicked any) {
	rec := &x.Record
	if panicked != nil && panicked != http.ErrAbortHandler {
		rec.Note(exchange.Decision{
			Kind: exchange.ByProxy, Outcome: exchange.Broken, Reason: exchange.InternalError,
			Detail: fmt.Sprintf("panic: %v\n%s", panicked, debug.Stack()),
		})
		rec.Because(exchange.InternalError)
	}
	if rec.Status == 0 {
		rec.Status = x.writer.status
	}
	if rec.GRPC {
		rec.GRPCStatus = grpcStatus(x.writer.Header())
	}
	if panicked == http.ErrAbortHandler {
		rec.Because(exchange.ClientClosed) // the copy broke, and the upstream's body did not
	}
	rec.Seal()
	rec.Upstream = rec.Asked()
	if rec.Status == 0 {
		rec.Status = statusOf(rec.Reason)
	}
	rec.BytesIn, rec.BytesOut = x.body.n.Load(), x.writer.n.Load()
	rec.Took = time.Since(rec.Start)
}

// linger is how long a client may go on sending what nobody reads before its
// connection is cut.
// One whose own fault ended the exchange gets no more than it takes for the
// answer to arrive before the reset does.
const (
	linger      = 5 * time.Second
	shortLinger = 500 * time.Millisecond
)

// release gives the client's connection back to the server. Under full duplex
// the server must not find the end of a body by itself: it would watch for the
// client's leaving while it waits for the next request, and panic
// (https://github.com/golang/go/issues/68560). An error means that the
// connection still holds part of a body and must not be used again.
func (x *crossing) release() error {
	if !x.duplex || x.body.atEnd.Load() || x.writer.status < 200 {
		return nil
	}
	client, wait := http.NewResponseController(x.writer.ResponseWriter), linger
	if x.Record.ClientFault() != nil {
		wait = shortLinger
	}
	_ = client.Flush() // the answer first: the client may wait for it before it goes on
	_ = client.SetReadDeadline(time.Now().Add(wait))
	return x.body.ReadCloser.Close()
}

// abandon ends the reading of the client's body before the server closes the
// connection. Under full duplex a transport may still be at it; should it find
// the body's end just then, the server would wait for the client instead.
func (x *crossing) abandon() {
	if x.duplex {
		_ = http.NewResponseController(x.writer.ResponseWriter).SetReadDeadline(longAgo)
		_ = x.body.ReadCloser.Close()
	}
}

// statusOf returns what stands for the status of an answer that was never
// begun.
func statusOf(reason exchange.Reason) int {
	if reason == "" {
		return http.StatusOK // an empty answer: the server writes it
	}
	return reason.Answer().Status
}
