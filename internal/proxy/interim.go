package proxy

import (
	"context"
	"net/http/httptrace"
	"net/textproto"
	"sync"
)

// interim forwards the 1xx responses of the first call.
type interim struct {
	x *crossing

	mu   sync.Mutex // guards done, and the client's header until then
	done bool       // the call is over
}

// trace returns a context under which a transport tells i of 1xx responses.
func (i *interim) trace(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got1xxResponse: i.forward})
}

func (i *interim) forward(status int, header textproto.MIMEHeader) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.done {
		return nil
	}
	w := &i.x.writer
	h := w.Header()
	for name, values := range header {
		h[name] = append(h[name], values...)
	}
	w.WriteHeader(status)
	clear(h) // net/http keeps it for the next
	return nil
}

func (i *interim) end() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.done = true
}
