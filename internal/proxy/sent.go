package proxy

import (
	"io"
	"net/http"
	"sync/atomic"
)

// sentBody is the client's body as a transport gets it: to close it is to read
// it no more. The client's own is the server's to close.
type sentBody struct {
	body   io.Reader
	closed atomic.Bool
}

// Read implements io.Reader.
func (b *sentBody) Read(p []byte) (int, error) {
	if b.closed.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	return b.body.Read(p)
}

// Close implements io.Closer.
func (b *sentBody) Close() error {
	b.closed.Store(true)
	return nil
}
