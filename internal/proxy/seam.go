package proxy

import (
	"cmp"
	"fmt"
	"net"
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

// seam returns what stands between the gates and the layers of a route.
func (b *builder) seam(r *policy.Route, transport http.RoundTripper) http.Handler {
	rw := &rewriter{
		ours:      ours(b.identity),
		fate:      fates(b.identity),
		pseudonym: b.pseudonym, via11: "1.1 " + b.pseudonym,
		route: r.Name, line: r.Line, upgrade: r.Upgrade,
	}
	return &forwarder{rewriter: rw, transport: transport, reverse: &httputil.ReverseProxy{
		Rewrite:        rw.rewrite,
		Transport:      transport,
		ErrorHandler:   answer,
		ModifyResponse: told,
		BufferPool:     buffers{},
		ErrorLog:       b.options.ErrorLog,
	}}
}

// rewriter makes the upstream's request out of the client's.
type rewriter struct {
	ours      map[string]bool // fields that only we may set, in canonical form
	fate      map[string]fate // of fields that do not just pass, in canonical form
	pseudonym string
	via11     string // our entry in Via for a request by HTTP/1.1
	route     string
	line      int
	upgrade   []string
}

// rewrite is what a ReverseProxy asks for.
func (rw *rewriter) rewrite(pr *httputil.ProxyRequest) {
	x := crossingOf(pr.In)
	x.lent.Store(true) // what a ReverseProxy calls may outlive the exchange
	*pr.Out.URL = target(pr.In)
	rw.trailers(pr, &x.Record)
	// It has taken the fields of this connection out, but for wishes.
	h := make(http.Header, len(pr.Out.Header)+len(rw.fate))
	rw.header(x, h, pr.Out.Header, pr.In.RemoteAddr)
	rw.protocol(h, pr.Out.Header, &x.Record)
	pr.Out.Header = h
}

// header puts into out what the upstream gets of in, the fields of a client at
// the address remote, and what we say.
func (rw *rewriter) header(x *crossing, out, in http.Header, remote string) {
	rec, forwards := &x.Record, x.Record.Forwards()
	for name, values := range in {
		if rw.passes(name, rec.Trusted, forwards) {
			out[name] = values
		}
	}
	x.forwarded(out, remote)
	out["X-Request-Id"] = x.own.one(rec.ID)
	out["Via"] = x.own.more(in["Via"], rw.via(rec.Proto))
	if _, ok := out["User-Agent"]; !ok {
		out["User-Agent"] = x.own.one("") // else a transport would set its own
	}
	for _, f := range forwards {
		name := http.CanonicalHeaderKey(f.Name)
		if f.Value == "" {
			delete(out, name)
		} else {
			out[name] = x.own.one(f.Value)
		}
	}
}

// via returns our entry in Via for a request by protocol, which is one that
// net/http names (RFC 9110 section 7.6.3).
func (rw *rewriter) via(protocol string) string {
	if protocol == "HTTP/1.1" {
		return rw.via11
	}
	return strings.TrimPrefix(protocol, "HTTP/") + " " + rw.pseudonym
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

// forwarded sets X-Forwarded-For, -Host and -Proto. A trusted peer's are kept
// and added to.
func (x *crossing) forwarded(out http.Header, remote string) {
	rec, in := &x.Record, x.Record.RequestHeader
	host, before := rec.Host, []string(nil)
	if rec.Trusted {
		host, before = cmp.Or(first(in, "X-Forwarded-Host"), host), in["X-Forwarded-For"]
	}
	if client, _, err := net.SplitHostPort(remote); err == nil {
		if len(before) > 0 {
			client = strings.Join(before, ", ") + ", " + client
		}
		out["X-Forwarded-For"] = x.own.one(client)
	}
	out["X-Forwarded-Host"] = x.own.one(host)
	out["X-Forwarded-Proto"] = x.own.one(rec.Scheme)
}

// protocol passes on in h what a ReverseProxy has left of the wish for trailers
// or for another protocol, unless the route does not name that one: any server
// may ignore it (RFC 9110 section 7.8).
func (rw *rewriter) protocol(h, wishes http.Header, rec *exchange.Record) {
	if te, ok := wishes["Te"]; ok {
		h["Te"] = te
	}
	want := wishes.Get("Upgrade")
	if want == "" {
		return
	}
	if slices.ContainsFunc(rw.upgrade, func(p string) bool { return strings.EqualFold(p, want) }) {
		h["Connection"], h["Upgrade"] = wishes["Connection"], wishes["Upgrade"]
		return
	}
	rec.Note(exchange.Decision{
		Kind: exchange.ByRoute, Policy: rw.route, Outcome: exchange.Act, Reason: exchange.UpgradeIgnored,
		Detail: strconv.Quote(want), Line: rw.line,
	})
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
