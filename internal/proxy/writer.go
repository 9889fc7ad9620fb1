package proxy

import (
	"net/http"
	"sync/atomic"
)

// writer is the client's side of the answer. It has only Unwrap beside what
// every ResponseWriter has: ReverseProxy flushes and hijacks through
// http.ResponseController.
type writer struct {
	http.ResponseWriter
	x        *crossing
	http1    bool
	draining *atomic.Bool
	status   int
	started  atomic.Bool // status is set
	n        atomic.Int64
	writing  atomic.Bool
}

// Unwrap returns the server's own writer.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// SetHeader makes h the header, where the server takes one as it is: it saves a
// copy. h is the caller's again once it is written.
func (w *writer) SetHeader(h http.Header) bool {
	s, ok := w.ResponseWriter.(interface{ SetHeader(http.Header) bool })
	return ok && s.SetHeader(h)
}

func (w *writer) WriteHeader(status int) {
	if status >= 200 && w.status == 0 {
		w.status = status
		w.started.Store(true)
		h := w.Header()
		w.x.Record.CopyHeader(h)
		h["X-Request-Id"] = []string{w.x.Record.ID}
		if said := proxyStatus(&w.x.Record, status); said != "" {
			h.Add("Proxy-Status", said) // behind what the upstream's own proxies say
		}
		if w.http1 && w.draining.Load() {
			h.Set("Connection", "close")
		}
	}
	if status < 200 {
		// HTTP/2's server copies a header that has a length, and leaves that out.
		// Any other it may go on reading when the client has reset the stream.
		w.Header()["Content-Length"] = nil
		defer delete(w.Header(), "Content-Length")
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *writer) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	w.writing.Store(true)
	n, err := w.ResponseWriter.Write(p)
	w.writing.Store(false)
	w.n.Add(int64(n))
	return n, err
}
