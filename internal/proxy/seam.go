package proxy

import (
	"cmp"
	"fmt"
	"maps"
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

// seam returns what stands between the gates and the layers of a route. hedges:
// several of these may run at once for an exchange.
func (b *builder) seam(r *policy.Route, transport http.RoundTripper, hedges bool) http.Handler {
	fate := fates(b.identity)
	rw := &rewriter{
		ours: ours(b.identity),
		fate: fate, shapes: shapesOf(maps.Keys(fate)),
		pseudonym: b.pseudonym, via11: "1.1 " + b.pseudonym,
		route: r.Name, line: r.Line, upgrade: r.Upgrade,
	}
	return &forwarder{rewriter: rw, transport: transport, eager: b.options.Transport != nil || hedges, reverse: &httputil.ReverseProxy{
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
	shapes    shapes          // of these
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
	rw.tell(asMap(h), x, pr.Out.Header, pr.In.RemoteAddr)
	rw.protocol(h, pr.Out.Header, &x.Record)
	pr.Out.Header = h
}

// tell gives to what the upstream gets of in, the fields of a client at the
// address remote, and what we say.
func (rw *rewriter) tell(to exchange.Fields, x *crossing, in http.Header, remote string) {
	rec, o := &x.Record, x.own
	s := saying{to, rec.Forwards()}
	agent := false
	for name, values := range in {
		if !rw.passes(name, rec.Trusted, s.instead) {
			continue
		}
		if !to.Field(name, values) {
			return
		}
		agent = agent || name == "User-Agent"
	}
	if !agent {
		s.field("User-Agent", o.one("")) // else a transport would set its own
	}
	host, before := rec.Host, []string(nil)
	if rec.Trusted { // what it says is kept, and added to
		host, before = cmp.Or(first(rec.RequestHeader, "X-Forwarded-Host"), host), rec.RequestHeader["X-Forwarded-For"]
	}
	if client, ok := forwardedFor(remote, before); ok {
		s.field("X-Forwarded-For", o.one(client))
	}
	s.field("X-Forwarded-Host", o.one(host))
	s.field("X-Forwarded-Proto", o.one(rec.Scheme))
	s.field("X-Request-Id", o.one(rec.ID))
	s.field("Via", o.more(in["Via"], rw.via(rec.Proto)))
	for i, f := range s.instead {
		if f.Value != "" && !names(s.instead[i+1:], http.CanonicalHeaderKey(f.Name)) {
			to.Field(http.CanonicalHeaderKey(f.Name), o.one(f.Value))
		}
	}
}

// saying is what we say ourselves, but for what policies say instead.
type saying struct {
	to      exchange.Fields
	instead []exchange.Field
}

func (s *saying) field(name string, values []string) {
	if !names(s.instead, name) {
		s.to.Field(name, values)
	}
}

// asMap takes fields into a map.
type asMap http.Header

// Field implements exchange.Fields.
func (m asMap) Field(name string, values []string) bool {
	m[name] = values
	return true
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

// forwardedFor returns what X-Forwarded-For says of a client at the address
// remote, behind what those before it have said.
func forwardedFor(remote string, before []string) (string, bool) {
	client, _, err := net.SplitHostPort(remote)
	if len(before) > 0 {
		client = strings.Join(before, ", ") + ", " + client
	}
	return client, err == nil
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
	want, got := exchange.HeaderOf(resp.Request).Get("Upgrade"), resp.Header.Get("Upgrade")
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
