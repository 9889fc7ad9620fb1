package proxy

import (
	"net/http"
	"net/http/httputil"

	"sidecar/internal/exchange"
)

// noTrailers are fields that a trailer section must not hold, since they say
// how a message is framed, routed, allowed or read (RFC 9110 section 6.5.1).
var noTrailers = map[string]bool{
	"Authorization": true, "Proxy-Authorization": true, "Cookie": true, "Host": true, "Forwarded": true, "Via": true,
	"Content-Length": true, "Content-Type": true, "Content-Encoding": true, "Content-Range": true,
	"Transfer-Encoding": true, "Connection": true, "Upgrade": true, "Te": true, "Trailer": true, "Expect": true,
}

// trailers passes on the client's trailers but for those that an upstream, if
// it merged them into the header, would take for our word. net/http fills the
// client's map when the body ends, also with fields that nobody announced.
func (rw *rewriter) trailers(pr *httputil.ProxyRequest, rec *exchange.Record) {
	pr.Out.Trailer = nil
	if len(pr.In.Trailer) == 0 {
		return
	}
	forwards := rec.Forwards()
	out := make(http.Header, len(pr.In.Trailer))
	pass := func(values func([]string) []string) {
		for key, have := range pr.In.Trailer {
			if name := exchange.Dashed(key); !rw.ours[name] && !isForwarded(name) && !names(forwards, name) && !noTrailers[name] {
				out[key] = values(have)
			}
		}
	}
	pass(func([]string) []string { return nil }) // announced, not said
	pr.Out.Trailer = out
	said := func() { pass(func(said []string) []string { return said }) }
	body := &crossingOf(pr.In).body
	if body.atEnd.Load() { // a gate has read it
		said()
		return
	}
	body.atEOF = said
}
