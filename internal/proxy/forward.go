package proxy

import (
	"io"
	"net/http"
	"net/http/httputil"
	"strings"
)

// forwarder takes ordinary exchanges across the seam, and leaves all others to
// a ReverseProxy. It does what that does, for a fraction: it copies neither the
// request nor the values of its fields, and makes no context
// (docs/decisions/0029).
type forwarder struct {
	rewriter  *rewriter
	transport http.RoundTripper
	eager     bool // the upstream's header is made at once: it is asked for on other goroutines, or by a stranger
	reverse   *httputil.ReverseProxy
}

// isOrdinary reports whether r asks for nothing that concerns more than one
// answer after one request: no other protocol, and no trailers.
func isOrdinary(r *http.Request) bool {
	return len(r.Trailer) == 0 && r.Header["Upgrade"] == nil && r.Header["Te"] == nil
}

// ServeHTTP answers r with what the transport says to it.
func (f *forwarder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !isOrdinary(r) {
		f.reverse.ServeHTTP(w, r)
		return
	}
	x := crossingOf(r)
	out := f.outgoing(x, r)
	defer x.sent.Close()
	resp, err := f.transport.RoundTrip(out)
	x.own.interim.end()
	if err == nil {
		err = told(resp)
		defer resp.Body.Close()
	}
	if err != nil {
		answer(w, r, err)
		return
	}
	f.deliver(w, r, resp)
}

// outgoing returns the upstream's request for the client's. It is the
// crossing's, and so is its header, which is made when somebody looks at it.
func (f *forwarder) outgoing(x *crossing, r *http.Request) *http.Request {
	out := x.own.out
	fill(out, r)
	x.target = target(r)
	out.URL, out.Header = &x.target, nil
	out.Trailer, out.Close = nil, false
	x.rewriter, x.asked, x.Teller = f.rewriter, r, &x.call
	if f.eager {
		out.Header = x.call.Header()
	}
	x.sent.body = r.Body
	out.Body = &x.sent
	if r.ContentLength == 0 || r.Body == nil {
		out.Body = nil
	}
	x.call.Context = x.own.traced
	if ctx := r.Context(); ctx != x {
		x.call.Context = x.own.interim.trace(ctx)
	}
	return out
}

// deliver gives resp to the client.
func (f *forwarder) deliver(w http.ResponseWriter, r *http.Request, resp *http.Response) {
	deliverHeader(w, resp.Header)
	announced := len(resp.Trailer)
	if announced > 0 {
		names := make([]string, 0, announced)
		for name := range resp.Trailer {
			names = append(names, name)
		}
		w.Header().Add("Trailer", strings.Join(names, ", "))
	}
	w.WriteHeader(resp.StatusCode)
	if err := copyBody(w, resp); err != nil {
		if r.Context().Value(http.ServerContextKey) == nil {
			return // nobody would recover
		}
		panic(http.ErrAbortHandler)
	}
	if resp.ProtoMajor == 1 && resp.ContentLength >= 0 {
		return // it has no trailers
	}
	resp.Body.Close() // they are complete from now on
	if len(resp.Trailer) == 0 {
		return
	}
	_ = http.NewResponseController(w).Flush() // a body that is over would else get a length, and no trailers
	header := w.Header()
	for name, values := range resp.Trailer {
		if len(values) == 0 {
			continue // announced, not said: by HTTP/2, the answer of one that is there would have no end
		}
		if len(resp.Trailer) != announced {
			name = http.TrailerPrefix + name
		}
		header[name] = append(header[name], values...)
	}
}

// deliverHeader gives the client what h says to those behind us.
func deliverHeader(w http.ResponseWriter, h http.Header) {
	dropNamed(h)
	for name, values := range h {
		if isHopByHop(name) || len(values) == 0 {
			delete(h, name)
		}
	}
	if s, ok := w.(interface{ SetHeader(http.Header) bool }); ok && s.SetHeader(h) {
		return
	}
	header := w.Header()
	for name, values := range h {
		if header[name] == nil {
			header[name] = values[:len(values):len(values)]
		} else {
			header[name] = append(header[name], values...)
		}
	}
}

// copyBody copies the body of resp, and each part of it at once where more may
// be long in coming.
func copyBody(w http.ResponseWriter, resp *http.Response) error {
	if resp.Body == http.NoBody {
		return nil
	}
	var dst io.Writer = w
	if streams(resp) {
		f := newFlusher(w)
		defer f.stop()
		dst = f
	} else if b, ok := resp.Body.(*watchedBody); ok {
		if ok, err := b.writeTo(w); ok {
			return err
		}
	}
	buffer := buffers{}.Get()
	defer buffers{}.Put(buffer)
	for {
		n, err := resp.Body.Read(buffer)
		if n > 0 {
			if _, err := dst.Write(buffer[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// streams reports whether each part of the body of resp is to be passed on at
// once: its length is not known, or it tells of events.
func streams(resp *http.Response) bool {
	if resp.ContentLength < 0 {
		return true
	}
	kind, _, _ := strings.Cut(first(resp.Header, "Content-Type"), ";")
	return strings.EqualFold(strings.TrimSpace(kind), "text/event-stream")
}
