package proxy

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"testing"
	"time"

	"sidecar/internal/exchange"
)

func TestEventsArriveAsTheyAreSent(t *testing.T) {
	next := make(chan struct{})
	up := service(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			_ = http.NewResponseController(w).Flush()
			<-next
		}
	})
	p, _ := apply(t, minimal, up)
	resp, err := client(t).Get(listen(t, p) + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewReader(resp.Body)
	for i := range 3 {
		// The upstream sends no more before this has been read.
		line, err := lines.ReadString('\n')
		if want := fmt.Sprintf("data: %d\n", i); err != nil || line != want {
			t.Fatalf("event %d: %q, %v, want %q", i, line, err, want)
		}
		_, _ = lines.ReadString('\n')
		next <- struct{}{}
	}
}

func TestAWebSocketPasses(t *testing.T) {
	up := service(t, echoUpgrade("websocket"))
	p, saw := apply(t, minimal, up)
	c, answer := upgrade(t, listen(t, p), "websocket")
	if answer.StatusCode != http.StatusSwitchingProtocols || answer.Header.Get("X-Request-Id") == "" {
		t.Fatalf("answer %d with request id %q, want 101 with one", answer.StatusCode, answer.Header.Get("X-Request-Id"))
	}
	for _, word := range []string{"hello\n", "again\n"} {
		fmt.Fprint(c, word)
		if got, err := c.r.ReadString('\n'); got != word {
			t.Fatalf("echo of %q is %q, %v", word, got, err)
		}
	}
	if n := p.InFlight(); n != 1 {
		t.Errorf("in flight: %d, want the tunnel", n)
	}
	c.Close()
	if e := saw.next(t); e.Status != 101 || e.Reason != "" || e.BytesIn != 12 || e.BytesOut != 12 {
		t.Errorf("status %d, reason %q, %d bytes in, %d out, want 101, none, 12 each", e.Status, e.Reason, e.BytesIn, e.BytesOut)
	}
}

func TestAWebSocketThatStandsStillIsCut(t *testing.T) {
	up := service(t, echoUpgrade("websocket"))
	text := strings.Replace(minimal, "name: all,", "name: all, streamIdleTimeout: 100ms,", 1)
	p, saw := apply(t, text, up)
	c, _ := upgrade(t, listen(t, p), "websocket")
	fmt.Fprint(c, "hello\n")
	if got, err := c.r.ReadString('\n'); got != "hello\n" {
		t.Fatalf("echo is %q, %v", got, err)
	}
	if _, err := c.r.ReadByte(); err == nil {
		t.Error("the tunnel goes on, want its end")
	}
	if e := saw.next(t); e.Reason != exchange.StreamIdle {
		t.Errorf("reason %q, want stream_idle", e.Reason)
	}
}

// Also when the client has said all, and nothing of its side wakes.
func TestAHalfClosedTunnelThatStandsStillIsCut(t *testing.T) {
	hold := make(chan struct{})
	defer close(hold)
	up := service(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "websocket")
		w.WriteHeader(http.StatusSwitchingProtocols)
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = io.Copy(io.Discard, rw)
		<-hold // and says nothing
	})
	text := strings.Replace(minimal, "name: all,", "name: all, streamIdleTimeout: 100ms,", 1)
	p, saw := apply(t, text, up)
	c, _ := upgrade(t, listen(t, p), "websocket")
	_ = c.Conn.(*net.TCPConn).CloseWrite()
	if _, err := io.ReadAll(c.r); err != nil {
		t.Logf("the tunnel ends with %v", err)
	}
	if e := saw.next(t); e.Reason != exchange.StreamIdle {
		t.Errorf("reason %q, want stream_idle", e.Reason)
	}
}

func TestAnUpgradeThatTheRouteDoesNotNameIsIgnored(t *testing.T) {
	up := service(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%q %q", r.Header.Get("Upgrade"), r.Header.Get("Connection"))
	})
	p, saw := apply(t, minimal, up)
	c, answer := upgrade(t, listen(t, p), "smtp")
	defer c.Close()
	if got := body(t, answer); got != `"" ""` {
		t.Errorf("the upstream sees %s, want no wish to upgrade", got)
	}
	e := saw.next(t)
	if _, ok := e.noted(exchange.UpgradeIgnored); !ok {
		t.Errorf("decisions = %v, want upgrade_ignored", e.Decisions)
	}
}

// echoUpgrade is an upstream that switches to protocol, and says back each
// line.
func echoUpgrade(protocol string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != protocol {
			http.Error(w, "no upgrade", http.StatusUpgradeRequired)
			return
		}
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", protocol)
		w.WriteHeader(http.StatusSwitchingProtocols)
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		for {
			line, err := rw.ReadString('\n')
			if err != nil {
				return
			}
			_, _ = rw.WriteString(line)
			_ = rw.Flush()
		}
	}
}

// wire is a raw connection to a server.
type wire struct {
	net.Conn
	r *bufio.Reader
}

// dial opens a raw connection to url.
func dial(t testing.TB, url string) *wire {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return &wire{c, bufio.NewReader(c)}
}

// say sends text, with \n for each line end.
func (w *wire) say(text string) { fmt.Fprint(w.Conn, strings.ReplaceAll(text, "\n", "\r\n")) }

// answer reads the answer to a request with method.
func (w *wire) answer(t testing.TB, method string) *http.Response {
	t.Helper()
	resp, err := http.ReadResponse(w.r, &http.Request{Method: method})
	if err != nil {
		t.Fatalf("reading the answer: %v", err)
	}
	return resp
}

func upgrade(t testing.TB, url, protocol string) (*wire, *http.Response) {
	t.Helper()
	c := dial(t, url)
	c.say("GET /socket HTTP/1.1\nHost: h\nConnection: Upgrade\nUpgrade: " + protocol + "\n\n")
	return c, c.answer(t, "GET")
}

func TestTrailersPassBothWays(t *testing.T) {
	up := service(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Announced")
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "body")
		w.Header().Set("X-Announced", r.Trailer.Get("X-Sum"))
		w.Header().Set(http.TrailerPrefix+"X-Late", "late")
	})
	p, _ := apply(t, minimal, up)
	r, _ := http.NewRequest("POST", listen(t, p), io.NopCloser(strings.NewReader("some body")))
	r.Trailer = http.Header{"X-Sum": {"42"}}
	resp, err := client(t).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if got := body(t, resp); got != "body" {
		t.Errorf("body = %q", got)
	}
	if got := resp.Trailer.Get("X-Announced"); got != "42" {
		t.Errorf("X-Announced = %q, want the request's own trailer, 42", got)
	}
	if got := resp.Trailer.Get("X-Late"); got != "late" {
		t.Errorf("X-Late = %q, want late", got)
	}
}

func TestTrailersTellNothingThatOnlyWeMayTell(t *testing.T) {
	up := service(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "user=%q trailer=%q", r.Header["X-User"], slices.Sorted(maps.Keys(r.Trailer)))
	})
	policy := strings.ReplaceAll(with("authn: users", users), "MODE", "shadow")
	p, _ := apply(t, policy, up)
	c := dial(t, listen(t, p))
	c.say("POST / HTTP/1.1\nHost: h\nTransfer-Encoding: chunked\nTrailer: X-User, X-Sum\nConnection: close\n\n" +
		"2\nhi\n0\nX-User: root\nX_User: root\nAuthorization: secret\nHost: evil\nX-Request-Id: evil\nX-Sum: 42\n\n")
	if got, want := body(t, c.answer(t, "POST")), `user=[] trailer=["X-Sum"]`; got != want {
		t.Errorf("the upstream sees %s, want %s", got, want)
	}
}

func TestATunnelIsClosedOneSideAtATime(t *testing.T) {
	up := service(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "websocket")
		w.WriteHeader(http.StatusSwitchingProtocols)
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		said, _ := io.ReadAll(rw) // until the client has said all
		fmt.Fprintf(c, "heard %q", said)
	})
	p, _ := apply(t, minimal, up)
	c, _ := upgrade(t, listen(t, p), "websocket")
	fmt.Fprint(c, "hello")
	_ = c.Conn.(*net.TCPConn).CloseWrite()
	if got, err := io.ReadAll(c.r); string(got) != `heard "hello"` || err != nil {
		t.Errorf("the tunnel says %q, %v, want the upstream's last word", got, err)
	}
}

func TestInformationalAnswersPass(t *testing.T) {
	up := service(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusNoContent)
	})
	p, _ := apply(t, minimal, up)
	var hints []string
	ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			hints = append(hints, fmt.Sprint(code, " ", h.Get("Link")))
			return nil
		},
	})
	r, _ := http.NewRequestWithContext(ctx, "GET", listen(t, p), nil)
	resp, err := client(t).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if len(hints) != 1 || hints[0] != "103 </style.css>; rel=preload" {
		t.Errorf("informational answers = %q, want the upstream's 103", hints)
	}
	if resp.StatusCode != 204 || resp.Header.Get("X-Request-Id") == "" {
		t.Errorf("answer %d with request id %q, want 204 with one", resp.StatusCode, resp.Header.Get("X-Request-Id"))
	}
}

func TestHeadHasLengthAndNoBody(t *testing.T) {
	up := service(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "1234") })
	p, _ := apply(t, minimal, up)
	resp, err := client(t).Head(listen(t, p))
	if err != nil {
		t.Fatal(err)
	}
	if got := body(t, resp); got != "" || resp.ContentLength != 1234 {
		t.Errorf("HEAD: body %q, length %d, want none and 1234", got, resp.ContentLength)
	}
}

func TestExpectContinueWaitsForTheUpstream(t *testing.T) {
	up := service(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s", b)
	})
	p, _ := apply(t, minimal, up)
	c := dial(t, listen(t, p))
	c.say("PUT / HTTP/1.1\nHost: h\nExpect: 100-continue\nContent-Length: 4\n\n")
	if resp := c.answer(t, "PUT"); resp.StatusCode != http.StatusContinue {
		t.Fatalf("first answer %d, want 100", resp.StatusCode)
	}
	c.say("body")
	resp := c.answer(t, "PUT")
	for resp.StatusCode == http.StatusContinue { // the upstream's own may follow ours
		resp = c.answer(t, "PUT")
	}
	if got := body(t, resp); resp.StatusCode != 200 || got != "body" {
		t.Errorf("answer %d %q, want 200 and the body", resp.StatusCode, got)
	}
}

func TestLargeBodiesStreamBothWays(t *testing.T) {
	up := service(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		_, _ = io.Copy(w, r.Body)
	})
	p, saw := apply(t, with("validation: big", "validation: {big: {maxBody: 0}}"), up)
	const size = 64 << 20
	sent, got := sha256.New(), sha256.New()
	r, _ := http.NewRequest("POST", listen(t, p), io.TeeReader(io.LimitReader(pattern{}, size), sent))
	resp, err := client(t).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if n, err := io.Copy(got, resp.Body); n != size || err != nil {
		t.Fatalf("got %d bytes, %v, want %d", n, err, size)
	}
	if !bytes.Equal(sent.Sum(nil), got.Sum(nil)) {
		t.Error("the body came back changed")
	}
	if e := saw.next(t); e.BytesIn != size || e.BytesOut != size {
		t.Errorf("told of %d bytes in, %d out, want %d each", e.BytesIn, e.BytesOut, size)
	}
}

// pattern is an endless body.
type pattern struct{}

func (pattern) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(i * 7)
	}
	return len(p), nil
}

func TestTheRequestTargetIsSentAsItCame(t *testing.T) {
	up := service(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.RequestURI) })
	raw := strings.Replace(minimal, "upstreams:", "server: {paths: raw}\nupstreams:", 1)
	for _, tt := range []struct{ policy, target string }{
		{minimal, "/a%20b/c?x=1;y=2&z=%zz"},
		{minimal, "/?"},
		{minimal, "/caf%c3%a9?q=a+b"},
		{raw, "/a%2fb"},
		{raw, "//double//slash"},
		{raw, "/a/../b"},
	} {
		p, _ := apply(t, tt.policy, up)
		c := dial(t, listen(t, p))
		c.say("GET " + tt.target + " HTTP/1.1\nHost: h\nConnection: close\n\n")
		if got := body(t, c.answer(t, "GET")); got != tt.target {
			t.Errorf("the upstream sees %q, want %q", got, tt.target)
		}
	}
}

func TestTheUpstreamSeesWhoAsksAndNothingInvented(t *testing.T) {
	up := service(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "host=%s xff=%q proto=%q id=%q attempt=%q hop=%q",
			r.Host, r.Header["X-Forwarded-For"], r.Header["X-Forwarded-Proto"],
			r.Header.Get("X-Request-Id"), r.Header["X-Sidecar-Attempt"], r.Header["X-Hop"])
	})
	p, _ := apply(t, minimal, up)
	c := dial(t, listen(t, p))
	c.say("GET / HTTP/1.1\nHost: shop.example\nConnection: close, X-Hop\nX-Hop: 1\n" +
		"X-Forwarded-For: 203.0.113.9\nX-Request-Id: mine\nX-Sidecar-Attempt: 7\n\n")
	want := `host=shop.example xff=["203.0.113.9, 127.0.0.1"] proto=["http"] id="mine" attempt=[] hop=[]`
	if got := body(t, c.answer(t, "GET")); got != want {
		t.Errorf("the upstream sees\n%s, want\n%s", got, want)
	}
}

func TestALoopIsCutAndTwoSidecarsAreNone(t *testing.T) {
	up := service(t, func(http.ResponseWriter, *http.Request) {})
	inner, _ := apply(t, minimal, up)
	outer, _ := apply(t, minimal, listen(t, inner))
	if resp, _ := get(t, listen(t, outer)); resp.StatusCode != 200 {
		t.Errorf("two sidecars in a row: %d, want 200", resp.StatusCode)
	}

	loop := &Proxy{}
	url := listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { loop.ServeHTTP(w, r) }))
	p, _ := apply(t, minimal, url)
	*loop = Proxy{options: p.options, pseudonym: p.pseudonym}
	loop.snapshot.Store(p.Snapshot())
	if resp, _ := get(t, url); resp.StatusCode != 508 {
		t.Errorf("a sidecar in front of itself: %d, want 508", resp.StatusCode)
	}
}
