package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"

	"sidecar/internal/exchange"
)

// body returns the body of resp, watched.
func (g *guard) body(resp *http.Response) io.ReadCloser {
	watched := &g.x.watched
	*watched = watchedBody{ReadCloser: resp.Body, g: g}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return watched
	}
	tunnel, ok := resp.Body.(io.ReadWriteCloser)
	if !ok {
		return watched // ReverseProxy says what is wrong with it
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tunnel = true
	// ReverseProxy watches the context above ours, and a client that has said
	// all is not woken by a read deadline.
	context.AfterFunc(&g.x.call, func() { tunnel.Close() })
	return &watchedTunnel{watchedBody: watched, w: tunnel}
}

// watchedBody tells the guard of each part that comes from the upstream.
type watchedBody struct {
	io.ReadCloser
	g  *guard
	to watchedWriter
}

// writeTo is io.WriterTo's, for a body that is one. The body of a tunnel is none:
// what it brings has to be read to be counted.
func (b *watchedBody) writeTo(w io.Writer) (ok bool, err error) {
	from, ok := b.ReadCloser.(io.WriterTo)
	if !ok {
		return false, nil
	}
	b.to = watchedWriter{w: w, g: b.g}
	_, err = from.WriteTo(&b.to)
	if err != nil && b.to.err == nil {
		b.g.broke(err)
	}
	return true, err
}

// watchedWriter tells the guard of each part that has come, before it goes on.
type watchedWriter struct {
	w   io.Writer
	g   *guard
	err error // of a Write
}

// Write implements io.Writer.
func (w *watchedWriter) Write(p []byte) (int, error) {
	w.g.progress()
	n, err := w.w.Write(p)
	w.err = err
	return n, err
}

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		b.g.progress()
	}
	if err != nil && err != io.EOF {
		b.g.broke(err)
	}
	return n, err
}

func (b *watchedBody) Close() error {
	err := b.ReadCloser.Close()
	b.g.end()
	return err
}

// broke says why a body ended before its end.
func (g *guard) broke(err error) {
	rec := &g.x.Record
	_ = g.overdue()
	cause := context.Cause(&g.x.call)
	fault := rec.ClientFault()
	var refusal *exchange.Refusal
	var failure *exchange.Failure
	switch {
	case fault != nil:
		rec.Because(fault.Reason)
	case errors.As(cause, &refusal):
		rec.Because(refusal.Reason)
	case errors.As(cause, &failure):
		rec.Because(failure.Reason())
	case cause != nil:
		rec.Because(exchange.ClientClosed)
	default:
		rec.Because(exchange.UpstreamBody)
		rec.Note(exchange.Decision{
			Kind: exchange.ByUpstream, Policy: rec.Asked(), Outcome: exchange.Broken,
			Reason: exchange.UpstreamBody, Detail: err.Error(),
		})
	}
}

// watchedTunnel is the upstream's end of an upgraded connection.
type watchedTunnel struct {
	*watchedBody
	w io.Writer
}

// Read does not ask why the tunnel ended: either side may just hang up.
func (t *watchedTunnel) Read(p []byte) (int, error) {
	n, err := t.ReadCloser.Read(p)
	if n > 0 {
		t.g.x.writer.n.Add(int64(n)) // it goes to a connection that is no writer any more
		t.g.progress()
	}
	return n, err
}

// CloseWrite passes on that the client has said all, where the connection to
// the upstream can tell it; it may still listen.
func (t *watchedTunnel) CloseWrite() error {
	if half, ok := t.w.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return t.Close()
}

func (t *watchedTunnel) Write(p []byte) (int, error) {
	n, err := t.w.Write(p)
	if n > 0 {
		t.g.x.body.n.Add(int64(n))
		t.g.progress()
	}
	return n, err
}
