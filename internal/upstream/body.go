package upstream

import (
	"io"
	"net/http"
	"sync/atomic"
)

// endWith ends the call when the body of resp is closed.
func (e *endpoint) endWith(resp *http.Response) {
	if resp.Body == http.NoBody {
		e.end()
		return
	}
	if s, ok := resp.Body.(*stream); ok {
		s.endpoint = e
		return
	}
	b := &body{ReadCloser: resp.Body, endpoint: e}
	if rwc, ok := resp.Body.(io.ReadWriteCloser); ok && resp.StatusCode == http.StatusSwitchingProtocols {
		resp.Body = &upgraded{body: b, Writer: rwc}
		return
	}
	resp.Body = b
}

// body is a response's body whose end is the end of the call.
type body struct {
	io.ReadCloser
	endpoint *endpoint
	closed   atomic.Bool
}

// Close closes the body; the first time, the call has ended.
func (b *body) Close() error {
	err := b.ReadCloser.Close()
	// Afterwards: only now does the connection count as idle.
	if !b.closed.Swap(true) {
		b.endpoint.end()
	}
	return err
}

// upgraded is the body of a 101 response: the connection itself.
type upgraded struct {
	*body
	io.Writer
}

// CloseWrite closes the direction to the upstream.
func (u *upgraded) CloseWrite() error { return closeWrite(u.Writer) }
