package proxy

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// passage is all that client, upstream and observers see of an exchange.
type passage struct {
	Upstream []string // what it was sent, each time
	Hints    []string // the 1xx responses
	Status   int
	Proto    string
	Header   http.Header
	Length   int64
	Coding   []string
	Close    bool
	Body     string
	Broken   bool // the answer, or its body
	Trailer  http.Header
	Again    string // what another request over the same connection gets
	Record   string
}

// says is how an upstream answers: with text, and then an end.
type says struct {
	text string
	then finish
}

type finish int

const (
	stays finish = iota
	closes
	resets
)

// way is a proxy between a raw client and a raw upstream.
type way struct {
	p   *Proxy
	saw *seen
	url string

	mu    sync.Mutex // guards all below
	says  says
	asked []string
}

const seamAlone = `
version: v1
upstreams: {app: {endpoints: [{url: "${UPSTREAM}"}]}}
routes: [{name: all, upstream: app, use: {validation: none, circuitBreaker: none, retry: none}}]
`

// newWay returns one whose exchanges cross the seam directly, or with a
// ReverseProxy.
func newWay(t testing.TB, reversed bool) *way {
	log.SetOutput(io.Discard) // net/http tells of bytes that nobody asked for
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
	w := &way{}
	w.p, w.saw = apply(t, seamAlone, raw(t, w.upstream))
	if reversed {
		for _, rt := range w.p.Snapshot().routes {
			rt.seam = rt.seam.(*forwarder).reverse
		}
	}
	w.url = listen(t, w.p)
	return w
}

// upstream is what the proxy calls.
func (w *way) upstream(c net.Conn) {
	in := bufio.NewReader(c)
	for {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		if r.Header.Get("Expect") != "" {
			_, _ = io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n")
		}
		said, err := io.ReadAll(r.Body)
		if r.URL.Path == "/again" {
			fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nagain")
			continue
		}
		w.mu.Lock()
		w.asked = append(w.asked, fmt.Sprint(r.Method, " ", r.RequestURI, " ", r.Proto, " ", r.Host, " ", r.Header, " ", r.ContentLength, r.TransferEncoding,
			r.Close, fmt.Sprintf(" %q %v ", said, err), r.Trailer))
		s := w.says
		w.mu.Unlock()
		_, _ = io.WriteString(c, s.text)
		switch s.then {
		case resets:
			reset(c)
			return
		case closes:
			return
		}
	}
}

// answers has the upstream answer with s from now on. What a connection that it
// has closed before does to a request is not what is asked here: one that may be
// repeated goes first.
func (w *way) answers(t *testing.T, s says) {
	t.Helper()
	c := dial(t, w.url)
	defer c.Close()
	for _, wish := range []string{"", "Expect: 100-continue\n"} { // net/http's transport has connections of its own
		c.say("GET /again HTTP/1.1\nHost: h\n" + wish + "\n")
		body(t, c.answer(t, "GET"))
		w.saw.next(t)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.says, w.asked = s, nil
}

var anyPort = regexp.MustCompile(`127\.0\.0\.1:\d+`)

// seen completes what was seen of an exchange.
func (w *way) seen(t *testing.T, p *passage) {
	t.Helper()
	e := w.saw.next(t)
	p.Record = anyPort.ReplaceAllString(fmt.Sprint(e.Status, " ", e.Reason, e.Attempts, e.BytesIn, e.BytesOut, e.Decisions), "HERE")
	w.mu.Lock()
	defer w.mu.Unlock()
	p.Upstream = w.asked
	for i, s := range p.Upstream {
		p.Upstream[i] = strings.ReplaceAll(s, w.p.pseudonym, "PROXY")
	}
	for _, values := range p.Header {
		for i, v := range values {
			values[i] = strings.ReplaceAll(v, w.p.pseudonym, "PROXY")
		}
	}
}

// plain returns what is seen of the exchange that text, over a connection of its
// own, begins.
func (w *way) plain(t *testing.T, text string) (p passage) {
	t.Helper()
	method, _, _ := strings.Cut(text, " ")
	c := dial(t, w.url)
	defer c.Close()
	fmt.Fprint(c.Conn, text)
	resp, err := http.ReadResponse(c.r, &http.Request{Method: method})
	for err == nil && resp.StatusCode < 200 && resp.StatusCode != 101 {
		p.Hints = append(p.Hints, fmt.Sprint(resp.StatusCode, resp.Header))
		resp, err = http.ReadResponse(c.r, &http.Request{Method: method})
	}
	p.of(resp, err)
	w.seen(t, &p)
	if p.Broken || p.Close {
		rest, err := io.ReadAll(c.r)
		p.Again = fmt.Sprintf("%q %v", rest, err)
		return p
	}
	fmt.Fprint(c.Conn, "GET /again HTTP/1.1\r\nHost: h\r\n\r\n")
	var again passage
	resp, err = http.ReadResponse(c.r, nil)
	again.of(resp, err)
	p.Again = again.Body
	w.saw.next(t)
	return p
}

// of notes what the client sees.
func (p *passage) of(resp *http.Response, err error) {
	if p.Broken = err != nil; err != nil {
		return
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	p.Status, p.Proto, p.Header, p.Trailer = resp.StatusCode, resp.Proto, resp.Header, resp.Trailer
	p.Length, p.Coding, p.Close = resp.ContentLength, resp.TransferEncoding, resp.Close
	p.Body, p.Broken = string(body), err != nil
	delete(p.Header, "Date")
}

// differences returns where both ways are not the same, but for what is no
// difference to anybody or lies in time.
func differences(direct, reversed passage) string {
	for _, p := range []*passage{&direct, &reversed} {
		if p.Broken && p.Body == "" && (p.Length < 0 || p.Status == 0) {
			// Of a body of unknown length that breaks before its first part, the
			// client has seen the head or not: that is flushed after a while.
			*p = passage{Upstream: p.Upstream, Hints: p.Hints, Broken: true, Record: p.Record}
		}
		if p.Body == "" && !p.Broken && p.Length <= 0 && len(p.Trailer) == 0 {
			// One that has no part has a length of 0, or is in chunks if the head
			// was flushed before.
			p.Length, p.Coding = 0, nil
			delete(p.Header, "Content-Length")
			if p.Proto == "HTTP/1.0" { // which, without a length, has to end the connection
				p.Close, p.Again = false, ""
				delete(p.Header, "Connection")
			}
		}
		if p.Length < 0 && p.Header.Get("Content-Type") == http.DetectContentType([]byte(p.Body)) {
			delete(p.Header, "Content-Type") // net/http's guess, where the head was not flushed before
		}
		// Our server says 100 by itself, before or after the upstream's.
		p.Hints = slices.DeleteFunc(p.Hints, func(hint string) bool { return strings.HasPrefix(hint, "100 ") })
		if len(p.Hints) == 0 {
			p.Hints = nil
		}
		if len(p.Trailer) == 0 {
			p.Trailer = nil
		}
		if names := p.Header.Get("Trailer"); names != "" { // of no meaning, in a map's order
			p.Header.Set("Trailer", strings.Join(slices.Sorted(slices.Values(strings.Split(names, ", "))), ", "))
		}
	}
	return cmp.Diff(reversed, direct)
}

const asks = " /a/b?x=1&y HTTP/1.1\r\nHost: shop.example\r\nX-Request-Id: mine\r\n"

// ordinary are requests that the forwarder takes.
var ordinary = map[string]string{
	"GET":                     "GET" + asks + "\r\n",
	"GET, and no more":        "GET" + asks + "Connection: close\r\n\r\n",
	"GET with its own fields": "GET" + asks + "Connection: X-Hop, keep-alive\r\nX-Hop: 1\r\nKeep-Alive: timeout=3\r\n\r\n",
	"GET with many fields": "GET" + asks + "Cookie: a=1\r\nCookie: b=2\r\nVia: 1.0 a\r\nVia: 1.1 b, 1.1 c\r\nX-Forwarded-For: 203.0.113.9\r\n" +
		"X-Forwarded-For: 203.0.113.8\r\nX-Forwarded-Host: other\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: 1\r\nForwarded: for=1\r\nX-Real-Ip: 9\r\nProxy-Authorization: x\r\n" +
		"Proxy-Connection: keep-alive\r\nTrailer: X\r\nUser-Agent: me\r\nX_Forwarded_For: 1\r\nX-Sidecar-Attempt: 7\r\nRange: bytes=0-1\r\nAccept-Encoding: gzip\r\nX-Empty:\r\nPragma: no-cache\r\n\r\n",
	"GET of HTTP/1.0":        "GET /a HTTP/1.0\r\nHost: shop.example\r\nX-Request-Id: mine\r\n\r\n",
	"GET of HTTP/1.0, alive": "GET /a HTTP/1.0\r\nHost: shop.example\r\nX-Request-Id: mine\r\nConnection: keep-alive\r\n\r\n",
	"GET with a URL":         "GET http://shop.example?q HTTP/1.1\r\nHost: other\r\nX-Request-Id: mine\r\n\r\n",
	"GET with a body":        "GET" + asks + "Content-Length: 2\r\n\r\nhi",
	"HEAD":                   "HEAD" + asks + "\r\n",
	"OPTIONS":                "OPTIONS" + asks + "Content-Length: 0\r\n\r\n",
	"POST":                   "POST" + asks + "Content-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello",
	"POST of nothing":        "POST" + asks + "Content-Length: 0\r\n\r\n",
	"POST in chunks":         "POST" + asks + "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
	"POST in no chunk":       "POST" + asks + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"POST with a trailer that is not announced": "POST" + asks + "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Late: 1\r\n\r\n",
	"PUT that waits": "PUT" + asks + "Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
}

const (
	fine    = "HTTP/1.1 200 OK\r\n"
	hi      = "Content-Length: 2\r\n\r\nhi"
	chunked = "Transfer-Encoding: chunked\r\n\r\n"
)

// said are answers of all kinds.
var said = map[string]says{
	"a length":                            {fine + hi, stays},
	"a length, and the end":               {fine + hi, closes},
	"a length of nothing":                 {fine + "Content-Length: 0\r\n\r\n", stays},
	"two fields of a name":                {fine + "Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nVia: 1.0 x\r\nVia: 1.1 y\r\nWarning: 1\r\n" + hi, stays},
	"our own fields":                      {fine + "X-Request-Id: theirs\r\nX-Request-Id: twice\r\nProxy-Status: them\r\nServer: s\r\n" + hi, stays},
	"fields of the connection":            {fine + "Connection: X-Hop, Keep-Alive, \"q\", Content-Type\r\nX-Hop: 1\r\nContent-Type: a/b\r\nKeep-Alive: 3\r\nProxy-Connection: x\r\nProxy-Authenticate: Basic\r\nTe: trailers\r\nUpgrade: h2c\r\n" + hi, stays},
	"Proxy-Authenticate with 407":         {"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic\r\n" + hi, stays},
	"Connection names what is ours":       {fine + "Connection: X-Request-Id, Proxy-Status, Date, Content-Length\r\n" + hi, stays},
	"Connection: close":                   {fine + "Connection: close\r\n" + hi, closes},
	"HTTP/1.0":                            {"HTTP/1.0 200 OK\r\n\r\nhi", closes},
	"until the end":                       {fine + "\r\nhi", closes},
	"until the end, and nothing":          {fine + "\r\n", closes},
	"until a reset":                       {fine + "\r\nhi", resets},
	"a date":                              {fine + "Date: Mon, 01 Jan 2024 00:00:00 GMT\r\n" + hi, stays},
	"without type":                        {fine + "Content-Length: 6\r\n\r\n<html>", stays},
	"with an empty type":                  {fine + "Content-Type:\r\nContent-Length: 6\r\n\r\n<html>", stays},
	"an encoding":                         {fine + "Content-Encoding: gzip\r\n" + hi, stays},
	"too short":                           {fine + "Content-Length: 9\r\n\r\nhi", closes},
	"too long":                            {fine + "Content-Length: 2\r\n\r\nhiho", stays},
	"chunks":                              {fine + chunked + "2\r\nhi\r\n1\r\n!\r\n0\r\n\r\n", stays},
	"no chunk":                            {fine + chunked + "0\r\n\r\n", stays},
	"chunks with trailers":                {fine + "Trailer: A, B\r\n" + chunked + "2\r\nhi\r\n0\r\nA: 1\r\nA: 2\r\n\r\n", stays},
	"chunks with trailers, all said":      {fine + "Trailer: A, B\r\n" + chunked + "2\r\nhi\r\n0\r\nA: 1\r\nB: 2\r\n\r\n", stays},
	"no chunk with trailers":              {fine + "Trailer: A\r\n" + chunked + "0\r\nA: 1\r\n\r\n", stays},
	"trailers that nobody announced":      {fine + chunked + "2\r\nhi\r\n0\r\nA: 1\r\n\r\n", stays},
	"more trailers than announced":        {fine + "Trailer: A\r\n" + chunked + "2\r\nhi\r\n0\r\nA: 1\r\nB: 2\r\n\r\n", stays},
	"trailers that are ours":              {fine + chunked + "2\r\nhi\r\n0\r\nX-Request-Id: theirs\r\nConnection: close\r\n\r\n", stays},
	"announced trailers that do not come": {fine + "Trailer: A\r\n" + chunked + "0\r\n\r\n", stays},
	"chunks that break off":               {fine + chunked + "5\r\nhi", closes},
	"chunks without the last":             {fine + chunked + "2\r\nhi\r\n", closes},
	"chunks without the last, and reset":  {fine + chunked + "2\r\nhi\r\n", resets},
	"a chunk that is none":                {fine + chunked + "2\r\nhi\r\nzz\r\n", stays},
	"trailers that break off":             {fine + "Trailer: A\r\n" + chunked + "2\r\nhi\r\n0\r\nA: 1", closes},
	"events":                              {fine + "Content-Type: text/event-stream\r\n" + chunked + "9\r\ndata: 1\n\n\r\n9\r\ndata: 2\n\n\r\n0\r\n\r\n", stays},
	"events of a length":                  {fine + "Content-Type: text/event-stream; charset=utf-8\r\nContent-Length: 9\r\n\r\ndata: 1\n\n", stays},
	"events of a length, cut off":         {fine + "Content-Type: text/event-stream\r\nContent-Length: 99\r\n\r\ndata: 1\n\n", closes},
	"events of an odd type":               {fine + "Content-Type: TEXT/Event-Stream ; x\r\nContent-Length: 99\r\n\r\ndata: 1\n\n", closes},
	"204":                                 {"HTTP/1.1 204 No Content\r\n\r\n", stays},
	"204 with a length":                   {"HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n", stays},
	"304":                                 {"HTTP/1.1 304 Not Modified\r\nEtag: x\r\n\r\n", stays},
	"304 with a length and a type":        {"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\nContent-Type: a/b\r\n\r\n", stays},
	"205":                                 {"HTTP/1.1 205 Reset\r\nContent-Length: 0\r\n\r\n", stays},
	"a status of its own":                 {"HTTP/1.1 299 Hm Hm\r\n" + hi, stays},
	"999":                                 {"HTTP/1.1 999 Hm\r\n" + hi, stays},
	"103":                                 {"HTTP/1.1 103 Early\r\nLink: a\r\nLink: b\r\nX-Only: 1\r\n\r\n" + fine + "Link: c\r\n" + hi, stays},
	"103 of the connection":               {"HTTP/1.1 103 Early\r\nConnection: X-Hop\r\nX-Hop: a\r\nLink: b\r\n\r\n" + fine + hi, stays},
	"103 twice":                           {"HTTP/1.1 103 Early\r\nLink: a\r\n\r\nHTTP/1.1 103 Early\r\nLink: b\r\n\r\n" + fine + hi, stays},
	"102 and 199":                         {"HTTP/1.1 102 P\r\n\r\nHTTP/1.1 199 Hm\r\nA: b\r\n\r\n" + fine + hi, stays},
	"103 and no more":                     {"HTTP/1.1 103 Early\r\nLink: a\r\n\r\n", closes},
	"103 before chunks with trailers":     {"HTTP/1.1 103 Early\r\nLink: a\r\n\r\n" + fine + "Trailer: A\r\n" + chunked + "2\r\nhi\r\n0\r\nA: 1\r\n\r\n", stays},
	"101 unasked":                         {"HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nhi", stays},
	"101 of nothing":                      {"HTTP/1.1 101 S\r\n\r\n", stays},
	"a huge head":                         {fine + "A: " + strings.Repeat("x", 60<<10) + "\r\n" + hi, stays},
	"many fields":                         {fine + strings.Repeat("A: b\r\n", 200) + hi, stays},
	"a head that is too large":            {fine + "A: " + strings.Repeat("x", 2<<20) + "\r\n" + hi, stays},
	"a large body":                        {fine + "Content-Length: 300000\r\n\r\n" + strings.Repeat("0123456789", 30_000), stays},
	"a large body until the end":          {fine + "\r\n" + strings.Repeat("0123456789", 30_000), closes},
	"nothing":                             {"", closes},
	"a reset":                             {"", resets},
	"garbage":                             {"SSH-2.0\r\n\r\n", stays},
	"a redirect":                          {"HTTP/1.1 302 Found\r\nLocation: http://shop.example:8080/x\r\n" + hi, stays},
}

// The forwarder does what a ReverseProxy does.
func TestBothWaysAcrossTheSeamAreTheSame(t *testing.T) {
	direct, reversed := newWay(t, false), newWay(t, true)
	for _, request := range slices.Sorted(maps.Keys(ordinary)) {
		t.Run(request, func(t *testing.T) {
			for _, answer := range slices.Sorted(maps.Keys(said)) {
				text, s := ordinary[request], said[answer]
				direct.answers(t, s)
				reversed.answers(t, s)
				if diff := differences(direct.plain(t, text), reversed.plain(t, text)); diff != "" {
					t.Errorf("%s differs (-ReverseProxy +forwarder):\n%s", answer, diff)
				}
			}
		})
	}
}

// Wherever an answer breaks off.
func TestBothWaysBreakOffInTheSamePlace(t *testing.T) {
	direct, reversed := newWay(t, false), newWay(t, true)
	for name, text := range map[string]string{
		"a length": fine + "Connection: X\r\nX: 1\r\n" + hi,
		"chunks":   "HTTP/1.1 103 Early\r\nLink: a\r\n\r\n" + fine + "Trailer: A\r\n" + chunked + "2\r\nhi\r\n3\r\nho!\r\n0\r\nA: 1\r\nB: 2\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			for n := range len(text) {
				for _, then := range []finish{closes, resets} {
					s := says{text[:n], then}
					direct.answers(t, s)
					reversed.answers(t, s)
					const post = "POST" + asks + "Content-Length: 5\r\n\r\nhello"
					if diff := differences(direct.plain(t, post), reversed.plain(t, post)); diff != "" {
						t.Errorf("%q and end %d differ (-ReverseProxy +forwarder):\n%s", text[:n], then, diff)
					}
				}
			}
		})
	}
}

// second returns what is seen of an exchange by HTTP/2.
func (w *way) second(t *testing.T, method, body string) (p passage) {
	t.Helper()
	var mu sync.Mutex
	r, _ := http.NewRequest(method, w.url+"/a/b?x", io.NopCloser(strings.NewReader(body)))
	if body == "" {
		r.Body = nil
	}
	r.Header.Set("X-Request-Id", "mine")
	r = r.WithContext(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			mu.Lock()
			defer mu.Unlock()
			p.Hints = append(p.Hints, fmt.Sprint(code, h))
			return nil
		},
	}))
	r.Host = "shop.example"
	resp, err := h2cClient(t).Do(r)
	p.of(resp, err)
	w.seen(t, &p)
	return p
}

func TestBothWaysAcrossTheSeamAreTheSameByHTTP2(t *testing.T) {
	direct, reversed := newWay(t, false), newWay(t, true)
	for _, r := range []struct{ method, body string }{{"GET", ""}, {"HEAD", ""}, {"POST", "hello"}} {
		for _, answer := range slices.Sorted(maps.Keys(said)) {
			direct.answers(t, said[answer])
			reversed.answers(t, said[answer])
			if diff := differences(direct.second(t, r.method, r.body), reversed.second(t, r.method, r.body)); diff != "" {
				t.Errorf("%s: %s differs (-ReverseProxy +forwarder):\n%s", r.method, answer, diff)
			}
		}
	}
}

// The same, of whatever a client and an upstream can think of.
func FuzzBothWaysAcrossTheSeam(f *testing.F) {
	for _, s := range said {
		if len(s.text) < 1<<10 {
			f.Add(uint8(0), "Connection: x\r\n", "", s.text)
			f.Add(uint8(3), "Via: 1.0 a\r\n", "hello", s.text)
		}
	}
	direct, reversed := newWay(f, false), newWay(f, true)
	methods := []string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"}
	f.Fuzz(func(t *testing.T, method uint8, fields, body, answer string) {
		head := "\n" + strings.ToLower(fields)
		for _, framing := range []string{"\n\n", "\n\r", "\ncontent-length", "\ntransfer-encoding", "\nexpect", "\nx-request-id", "\nconnection: upgrade"} {
			if strings.Contains(head, framing) {
				t.Skip("another request than we say")
			}
		}
		if len(fields)+len(body) > 1<<10 || len(answer) > 1<<10 || fields != "" && !strings.HasSuffix(fields, "\r\n") {
			t.Skip("too long, or not fields")
		}
		text := methods[int(method)%len(methods)] + asks + fields + fmt.Sprintf("Content-Length: %d\r\n\r\n", len(body)) + body
		s := says{answer, closes}
		direct.answers(t, s)
		reversed.answers(t, s)
		one, ok := direct.try(t, text)
		other, same := reversed.try(t, text)
		if ok != same {
			t.Fatalf("%q is an exchange: %v, want %v", text, ok, same)
		}
		if diff := differences(one, other); diff != "" {
			t.Errorf("%q answered %q differs (-ReverseProxy +forwarder):\n%s", text, answer, diff)
		}
	})
}

// try is plain for what may be no exchange, as net/http has refused it.
func (w *way) try(t *testing.T, text string) (p passage, ok bool) {
	t.Helper()
	method, _, _ := strings.Cut(text, " ")
	c := dial(t, w.url)
	defer c.Close()
	fmt.Fprint(c.Conn, text)
	resp, err := http.ReadResponse(c.r, &http.Request{Method: method})
	for err == nil && resp.StatusCode < 200 && resp.StatusCode != 101 {
		p.Hints = append(p.Hints, fmt.Sprint(resp.StatusCode, resp.Header))
		resp, err = http.ReadResponse(c.r, &http.Request{Method: method})
	}
	p.of(resp, err)
	if err == nil && p.Header["X-Request-Id"] == nil && p.Status >= 400 {
		return p, false
	}
	w.seen(t, &p)
	return p, true
}
