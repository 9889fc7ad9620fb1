package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"sidecar/internal/certs/certstest"
)

// attacker is a client that writes what frames it likes.
type attacker struct {
	*http2.Framer
	t    *testing.T
	conn net.Conn
	next uint32 // stream
}

func attack(t *testing.T, url string) *attacker {
	t.Helper()
	c := dialRaw(t, url)
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	a := &attacker{Framer: http2.NewFramer(c, c), t: t, conn: c, next: 1}
	if _, err := io.WriteString(c, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	_ = a.WriteSettings()
	return a
}

// head returns the fields of a GET with some more of them.
func head(more ...string) []byte {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	fields := append([]string{":method", "GET", ":scheme", "http", ":authority", "h", ":path", "/"}, more...)
	for i := 0; i < len(fields); i += 2 {
		_ = e.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return b.Bytes()
}

// open sends a request, and returns its stream.
func (a *attacker) open(end bool) (stream uint32, err error) {
	stream = a.next
	a.next += 2
	return stream, a.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: head(), EndStream: true, EndHeaders: end})
}

// ends reads until the connection ends, and returns the code of its GOAWAY.
func (a *attacker) ends() (code http2.ErrCode, err error) {
	code = ^http2.ErrCode(0)
	for {
		f, err := a.ReadFrame()
		if g, ok := f.(*http2.GoAwayFrame); ok {
			code = g.ErrCode
		}
		if err != nil {
			return code, err
		}
	}
}

// floods writes until the other side does not take it any more.
func floods(t *testing.T, most int, write func(i int) error) {
	t.Helper()
	for i := range most {
		if err := write(i); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("the connection hangs, want it closed")
			}
			return
		}
	}
	t.Errorf("%d of them are taken, want the connection closed", most)
}

// level returns a metric of the process.
func (r *running) level(name string) float64 {
	r.t.Helper()
	_, text := ask(r.t, "GET", r.telemetry+"/metrics", "")
	m := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindStringSubmatch(text)
	if m == nil {
		r.t.Fatalf("there is no %s", name)
	}
	v, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		r.t.Fatal(err)
	}
	return v
}

// calm checks that others are served, and that nothing is left of an attack.
func (r *running) calm(goroutines float64) {
	r.t.Helper()
	if status, text := ask(r.t, "GET", r.data, ""); status != 200 || text != "well" {
		r.t.Errorf("others get %d %q, want them served", status, text)
	}
	eventually(r.t, "as few goroutines as before", func() bool { return r.level("go_goroutines") < goroutines+50 })
	if got := r.level("process_resident_memory_bytes"); got > 300<<20 {
		r.t.Errorf("%v bytes of memory, want fewer than 300 MiB", got)
	}
}

// bounds checks that one connection, whose streams are opened and reset at
// once, takes nothing from others. net/http ends it where streams come faster
// than they can be forgotten, and serves them all where they do not.
func (r *running) bounds(t *testing.T, a *attacker, reset func(stream uint32) error) {
	t.Helper()
	const served = `sidecar_http_requests_in_flight\{route="all"\}`
	_ = a.conn.SetDeadline(time.Now().Add(5 * time.Second))
	var flood sync.WaitGroup
	defer flood.Wait()
	flood.Go(func() {
		for {
			stream, err := a.open(true)
			if err == nil {
				err = reset(stream)
			}
			if err != nil {
				return
			}
		}
	})
	flood.Go(func() {
		code, err := a.ends()
		if !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, syscall.ECONNRESET) && code != http2.ErrCodeEnhanceYourCalm {
			t.Errorf("it ends with %v, %v, want ENHANCE_YOUR_CALM", code, err)
		}
	})
	for range 5 {
		if got := r.level(served); got > 40 { // as the one before may not have ended
			t.Errorf("%v requests are served, want 20 of a connection at most", got)
		}
		if status, text := ask(t, "GET", r.data, ""); status != 200 || text != "well" {
			t.Errorf("others get %d %q meanwhile, want them served", status, text)
		}
	}
}

// What net/http bounds by itself, and what by our limits: the process stays up,
// and others are served.
func TestAbuseOfHTTP2IsBounded(t *testing.T) {
	hanging := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host == "h" { // an attacker's
			<-r.Context().Done()
		}
		fmt.Fprint(w, "well")
	}))
	t.Cleanup(hanging.Close)
	r := run(t, strings.Replace(minimal(hanging.URL), "server: {", "server: {limits: {maxConcurrentStreams: 20, idleTimeout: 1s, readHeaderTimeout: 1s}, ", 1))
	before := r.level("go_goroutines")
	tests := []struct {
		name   string
		attack func(t *testing.T, a *attacker)
	}{
		// CVE-2023-44487
		{"rapid reset", func(t *testing.T, a *attacker) {
			r.bounds(t, a, func(stream uint32) error { return a.WriteRSTStream(stream, http2.ErrCodeCancel) })
		}},
		// CVE-2025-8671: it has the server reset its streams.
		{"made you reset", func(t *testing.T, a *attacker) {
			r.bounds(t, a, func(stream uint32) error { return a.WriteWindowUpdate(stream, 0x7fffffff) })
		}},
		// CVE-2023-45288
		{"CONTINUATION without end", func(t *testing.T, a *attacker) {
			stream, _ := a.open(false)
			floods(t, 100_000, func(int) error { return a.WriteContinuation(stream, false, head("x-"+strings.Repeat("a", 1000), "b")) })
		}},
		// CVE-2019-9512, CVE-2019-9515
		{"PING without reading", func(t *testing.T, a *attacker) {
			floods(t, 10_000_000, func(int) error { return a.WritePing(false, [8]byte{}) })
		}},
		{"SETTINGS without reading", func(t *testing.T, a *attacker) {
			floods(t, 10_000_000, func(int) error { return a.WriteSettings() })
		}},
		{"more streams than there may be", func(t *testing.T, a *attacker) {
			for range 100 {
				if _, err := a.open(true); err != nil {
					t.Fatal(err)
				}
			}
			for refused := 0; refused < 80; {
				f, err := a.ReadFrame()
				if err != nil {
					t.Fatal(err)
				}
				if reset, ok := f.(*http2.RSTStreamFrame); ok && reset.ErrCode == http2.ErrCodeRefusedStream {
					refused++
				}
			}
			// Those 20 hang; what others asked before may not have ended yet.
			eventually(t, "20 requests served, those of one connection", func() bool {
				return r.level(`sidecar_http_requests_in_flight\{route="all"\}`) == 20
			})
			a.conn.Close()
		}},
		{"a head that does not end", func(t *testing.T, a *attacker) {
			_, _ = a.open(false)
			if _, err := a.ends(); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("the connection is kept, want it closed after idleTimeout")
			}
		}},
		{"a preface and nothing else", func(t *testing.T, a *attacker) {
			if _, err := a.ends(); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("the connection is kept, want it closed after idleTimeout")
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.attack(t, attack(t, r.data))
			r.calm(before)
		})
	}
}

func TestAHeadOverHTTP2IsBounded(t *testing.T) {
	r := run(t, strings.Replace(minimal(well(t)), "server: {", "server: {limits: {maxHeaderBytes: 8KiB}, ", 1))
	a := attack(t, r.data)
	var long []string
	for i := range 5 {
		long = append(long, fmt.Sprint("x-", i), strings.Repeat("a", 2000))
	}
	block := head(long...)
	_ = a.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block[:1000], EndStream: true})
	_ = a.WriteContinuation(1, true, block[1000:])
	a.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	for {
		f, err := a.ReadFrame()
		if err != nil {
			t.Fatalf("the connection ends with %v, want 431", err)
		}
		if h, ok := f.(*http2.MetaHeadersFrame); ok {
			if got := h.PseudoValue("status"); got != "431" {
				t.Errorf("status %s, want 431", got)
			}
			return
		}
	}
}

// A TLS handshake that does not come holds a connection no longer than a head.
func TestAHandshakeThatDoesNotComeIsNotWaitedFor(t *testing.T) {
	ca, folder := certstest.New(t, "ours"), t.TempDir()
	secret(t, folder, "0", ca.Issue(t, "here"), ca.PEM())
	r := run(t, strings.Replace(securely(well(t), folder, "none"), "server: {", "server: {limits: {readHeaderTimeout: 200ms}, ", 1))
	c := dialRaw(t, strings.Replace(r.data, "https:", "http:", 1))
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.ReadAll(c); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the connection is kept, want it closed after readHeaderTimeout")
	}
	if got := says(secureClient(ca), r.data); got != "HTTP/2.0 200" {
		t.Errorf("others get %s, want them served", got)
	}
}

// Heads that trickle in (slowloris).
func TestSlowClientsHoldNobodyUp(t *testing.T) {
	r := run(t, strings.Replace(minimal(well(t)), "server: {", "server: {limits: {readHeaderTimeout: 1s, maxConnections: 200}, ", 1))
	before := r.level("go_goroutines")
	for i := range 400 { // twice as many as are served at once
		c := dialRaw(t, r.data)
		fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: h\r\nX-", i)
	}
	begin := time.Now()
	if status, _ := ask(t, "GET", r.data, ""); status != 200 {
		t.Errorf("%d, want an answer", status)
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("it took %v, want no more than the slow ones may take", took)
	}
	r.calm(before)
}

func TestOneAddressHasItsShareOfConnections(t *testing.T) {
	r := run(t, strings.Replace(minimal(well(t)), "server: {", "server: {limits: {maxConnectionsPerAddress: 2, readHeaderTimeout: 1m}, ", 1))
	first, second := dialRaw(t, r.data), dialRaw(t, r.data)
	for _, c := range []net.Conn{first, second} {
		fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		answered(t, c, "HTTP/1.1 200")
	}
	third := dialRaw(t, r.data)
	_ = third.SetReadDeadline(time.Now().Add(20 * time.Second))
	if n, err := third.Read(make([]byte, 1)); n > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the third is kept: %d bytes, %v, want it closed", n, err)
	}
	other := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	c, err := other.Dial("tcp", strings.TrimPrefix(r.data, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	answered(t, c, "HTTP/1.1 200")
	first.Close()
	eventually(t, "room for another", func() bool {
		c := dialRaw(t, r.data)
		defer c.Close()
		fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
		n, _ := c.Read(make([]byte, 1))
		return n == 1
	})
}

// Who keeps connections to the port that the kubelet probes takes them from
// nobody else, and not for long.
func TestProbesAreAnsweredWhoeverKeepsConnections(t *testing.T) {
	r := run(t, minimal(well(t)))
	stranger := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	var kept []net.Conn
	for range 120 {
		c, err := stranger.Dial("tcp", strings.TrimPrefix(r.telemetry, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprint(c, "GET /livez HTTP/1.1\r\nHost: h\r\n\r\n")
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
		if n, _ := c.Read(make([]byte, 4<<10)); n > 0 {
			kept = append(kept, c)
		}
	}
	if len(kept) != 20 {
		t.Errorf("%d connections of one address are kept, want 20", len(kept))
	}
	begin := time.Now()
	for _, path := range []string{"/livez", "/readyz"} {
		if status, _ := ask(t, "GET", r.telemetry+path, ""); status != 200 {
			t.Errorf("GET %s: %d, want 200", path, status)
		}
	}
	if took := time.Since(begin); took > 4*time.Second {
		t.Errorf("the probes took %v, want no more than a moment", took)
	}
	if _, err := kept[0].Read(make([]byte, 1)); !errors.Is(err, io.EOF) { // within its 20 s
		t.Errorf("a connection that nobody uses: %v, want it closed", err)
	}
}
