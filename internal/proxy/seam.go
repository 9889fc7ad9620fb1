package proxy

import (
	"fmt"
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
		trusted: b.trusted, pseudonym: b.pseudonym, identity: b.identity,
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
	trusted   trusted
	pseudonym string
	identity  []string // fields that only we may set
	route     string
	line      int
	upgrade   []string
}

func (rw *rewriter) rewrite(pr *httputil.ProxyRequest) {
	rec := exchange.From(pr.In.Context())
	pr.Out.URL = target(pr.In)
	pr.Out.Trailer = pr.In.Trailer // shared: it is filled when the body ends
	rw.forwarded(pr)
	rw.limitUpgrade(pr, rec)
	h := pr.Out.Header
	h.Del(attemptHeader)
	h.Set("X-Request-Id", rec.ID)
	h.Add("Via", strconv.Itoa(pr.In.ProtoMajor)+"."+strconv.Itoa(pr.In.ProtoMinor)+" "+rw.pseudonym)
	// After the hop-by-hop fields are gone: a client cannot name these in its
	// Connection field to have them dropped.
	for _, name := range rw.identity {
		strip(h, name)
	}
	for _, f := range rec.Forwards() {
		strip(h, f.Name)
		if f.Value != "" {
			h.Set(f.Name, f.Value)
		}
	}
}

// target returns where r goes, without scheme and host, with path and query
// exactly as the client spelled them: what our rules read is what the upstream
// gets.
func target(r *http.Request) *url.URL {
	_, query, hasQuery := strings.Cut(r.RequestURI, "?")
	u := &url.URL{RawQuery: query, ForceQuery: hasQuery && query == ""}
	if path := rawPath(r); strings.HasPrefix(path, "//") {
		// An Opaque of this form would be taken for a host.
		u.Path, u.RawPath = r.URL.Path, path
	} else {
		u.Opaque = path
	}
	return u
}

// forwarded sets X-Forwarded-For, -Host and -Proto. A trusted peer's are kept
// and added to; anybody else's are gone already.
func (rw *rewriter) forwarded(pr *httputil.ProxyRequest) {
	if !rw.trusted.holds(peer(pr.In)) {
		pr.SetXForwarded()
		return
	}
	in := pr.In.Header
	pr.Out.Header["X-Forwarded-For"] = slices.Clone(in["X-Forwarded-For"])
	pr.SetXForwarded()
	for _, name := range []string{"X-Forwarded-Host", "X-Forwarded-Proto"} {
		if value := in.Get(name); value != "" {
			pr.Out.Header.Set(name, value)
		}
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

// strip removes the field name from h in every spelling that an upstream may
// read as the same: CGI and its heirs make no difference between - and _.
func strip(h http.Header, name string) {
	h.Del(name)
	for key := range h {
		if strings.Contains(key, "_") && strings.EqualFold(strings.ReplaceAll(key, "_", "-"), name) {
			delete(h, key)
		}
	}
}

// told puts into an upgraded response, which ReverseProxy writes by itself,
// what every other response gets in its writer.
func told(resp *http.Response) error {
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return nil
	}
	want, got := resp.Request.Header.Get("Upgrade"), resp.Header.Get("Upgrade")
	if want == "" || !strings.EqualFold(want, got) {
		return &exchange.Failure{
			Kind: exchange.FailedProtocol, Err: fmt.Errorf("switched to protocol %q when asked for %q", got, want),
		}
	}
	rec := exchange.From(resp.Request.Context())
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
