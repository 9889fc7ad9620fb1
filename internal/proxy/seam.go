package proxy

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"sidecar/internal/exchange"
	"sidecar/internal/policy"
)

// attemptHeader tells the upstream which attempt it sees; absent on the first.
const attemptHeader = "X-Sidecar-Attempt"

// seam returns what stands between the gates and the layers: the one
// httputil.ReverseProxy of a route.
func (b *builder) seam(r *policy.Route, transport http.RoundTripper) http.Handler {
	rw := rewriter{
		ours:      ours(b.identity),
		pseudonym: b.pseudonym, via11: "1.1 " + b.pseudonym, identity: b.identity,
		route: r.Name, line: r.Line, upgrade: r.Upgrade,
	}
	return &httputil.ReverseProxy{
		Rewrite:        rw.rewrite,
		Transport:      transport,
		ErrorHandler:   answer,
		ModifyResponse: told,
		BufferPool:     buffers{},
		ErrorLog:       b.options.ErrorLog,
	}
}

// rewriter makes the upstream's request out of the client's.
type rewriter struct {
	ours      map[string]bool // fields that only we may set, in canonical form
	pseudonym string
	via11     string   // our entry in Via for a request by HTTP/1.1
	identity  []string // those that tell who calls, in canonical form
	route     string
	line      int
	upgrade   []string
}

func (rw *rewriter) rewrite(pr *httputil.ProxyRequest) {
	rec := exchange.From(pr.In.Context())
	*pr.Out.URL = target(pr.In)
	rw.trailers(pr, rec)
	h, forwards := pr.Out.Header, rec.Forwards()
	stripSpellings(h, func(name string) bool { return rw.ours[name] || isForwarded(name) || names(forwards, name) })
	forwarded(pr, rec)
	rw.limitUpgrade(pr, rec)
	delete(h, attemptHeader)
	if !rec.Trusted {
		delete(h, requestTimeoutHeader) // its word does not count with us, nor behind us
	}
	h["X-Request-Id"] = []string{rec.ID}
	h["Via"] = append(h["Via"], rw.via(pr.In))
	// After the hop-by-hop fields are gone: a client cannot name these in its
	// Connection field to have them dropped.
	for _, name := range rw.identity {
		delete(h, name)
	}
	forward(h, forwards)
}

// via returns our entry in Via for r (RFC 9110 section 7.6.3).
func (rw *rewriter) via(r *http.Request) string {
	if r.ProtoMajor == 1 && r.ProtoMinor == 1 {
		return rw.via11
	}
	return strconv.Itoa(r.ProtoMajor) + "." + strconv.Itoa(r.ProtoMinor) + " " + rw.pseudonym
}

// forward puts fields into h, in place of what it has in them.
func forward(h http.Header, fields []exchange.Field) {
	for _, f := range fields {
		if f.Value == "" {
			h.Del(f.Name)
		} else {
			h.Set(f.Name, f.Value)
		}
	}
}

// names reports whether one of fields is called name, in canonical form.
func names(fields []exchange.Field, name string) bool {
	return slices.ContainsFunc(fields, func(f exchange.Field) bool { return http.CanonicalHeaderKey(f.Name) == name })
}

// target returns where r goes, without scheme and host, with path and query
// exactly as the client spelled them: what our rules read is what the upstream
// gets.
func target(r *http.Request) url.URL {
	_, query, hasQuery := strings.Cut(r.RequestURI, "?")
	u := url.URL{RawQuery: query, ForceQuery: hasQuery && query == ""}
	if path := rawPath(r); strings.HasPrefix(path, "//") {
		// An Opaque of this form would be taken for a host.
		u.Path, u.RawPath = r.URL.Path, path
	} else {
		u.Opaque = path
	}
	return u
}

// isForwarded reports whether the field called name tells of those before us:
// applications believe more of these than we set.
func isForwarded(name string) bool {
	return strings.HasPrefix(name, "X-Forwarded-") || name == "X-Real-Ip"
}

// forwarded sets X-Forwarded-For, -Host and -Proto. A trusted peer's are kept
// and added to; nothing of the kind is passed on for anybody else.
func forwarded(pr *httputil.ProxyRequest, rec *exchange.Record) {
	in, out := pr.In.Header, pr.Out.Header
	if rec.Trusted {
		out["X-Forwarded-For"] = slices.Clone(in["X-Forwarded-For"])
	} else {
		maps.DeleteFunc(out, func(name string, _ []string) bool { return isForwarded(name) })
	}
	pr.SetXForwarded()
	out["X-Forwarded-Proto"] = []string{rec.Scheme}
	if host := in.Get("X-Forwarded-Host"); rec.Trusted && host != "" {
		out.Set("X-Forwarded-Host", host)
	}
}

// limitUpgrade drops the wish for a protocol that the route does not name, as
// any server may ignore it (RFC 9110 section 7.8).
func (rw *rewriter) limitUpgrade(pr *httputil.ProxyRequest, rec *exchange.Record) {
	want := pr.Out.Header.Get("Upgrade")
	if want == "" || slices.ContainsFunc(rw.upgrade, func(p string) bool { return strings.EqualFold(p, want) }) {
		return
	}
	pr.Out.Header.Del("Upgrade")
	pr.Out.Header.Del("Connection")
	rec.Note(exchange.Decision{
		Kind: exchange.ByRoute, Policy: rw.route, Outcome: exchange.Act, Reason: exchange.UpgradeIgnored,
		Detail: strconv.Quote(want), Line: rw.line,
	})
}

// ours returns the fields that only we may set, or who we trust: those that
// tell who calls, and those that every request gets.
func ours(identity []string) map[string]bool {
	names := map[string]bool{
		"X-Forwarded-For": true, "X-Forwarded-Host": true, "X-Forwarded-Proto": true,
		"X-Request-Id": true, attemptHeader: true, requestTimeoutHeader: true,
	}
	for _, name := range identity {
		names[name] = true
	}
	return names
}

// stripSpellings removes from h the other spellings of our names that an
// upstream may read as the same.
func stripSpellings(h http.Header, ours func(name string) bool) {
	for key := range h {
		if name := exchange.Dashed(key); name != key && ours(name) {
			delete(h, key)
		}
	}
}

// dropNamed removes from h what its Connection field names: the upstream does
// not get it (RFC 9110 section 7.6.1), so no gate shall go by it. What a proxy
// handles by itself stays where ReverseProxy looks for it.
func dropNamed(h http.Header) {
	for _, line := range h["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			switch name := http.CanonicalHeaderKey(strings.Trim(name, " \t")); name {
			case "Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade":
			default:
				delete(h, name)
			}
		}
	}
}

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

// told notes whose response it is, and puts into an upgraded one, which
// ReverseProxy writes by itself, what every other gets in its writer.
func told(resp *http.Response) error {
	rec := exchange.From(resp.Request.Context())
	if a := exchange.AttemptOf(resp.Request); a.Upstream != "" {
		rec.Answered = a
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return nil
	}
	want, got := resp.Request.Header.Get("Upgrade"), resp.Header.Get("Upgrade")
	if want == "" || !strings.EqualFold(want, got) {
		return &exchange.Failure{
			Kind: exchange.FailedProtocol, Err: fmt.Errorf("switched to protocol %q when asked for %q", got, want),
		}
	}
	rec.Status = resp.StatusCode
	rec.CopyHeader(resp.Header)
	resp.Header.Set("X-Request-Id", rec.ID)
	return nil
}

// buffers is where bodies are copied through.
type buffers struct{}

const bufferSize = 32 << 10

var bufferPool = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// Get returns a buffer that nobody else holds.
func (buffers) Get() []byte { return bufferPool.Get().(*[bufferSize]byte)[:] }

// Put takes back what Get gave.
func (buffers) Put(b []byte) { bufferPool.Put((*[bufferSize]byte)(b)) }
