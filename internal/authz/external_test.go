package authz

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sidecar/internal/exchange"
)

// decisionPoint decides as an OPA would, by a policy of three lines: who has
// no token is asked for one, admins may all, readers may read.
func decisionPoint(calls *atomic.Int64) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		method, uri := r.Header.Get("X-Forwarded-Method"), r.Header.Get("X-Forwarded-Uri")
		who := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		switch {
		case who == "":
			w.Header().Set("WWW-Authenticate", `Bearer realm="decisions"`)
			w.WriteHeader(http.StatusUnauthorized)
		case who == "admin", who == "reader" && method == "GET" && !strings.HasPrefix(uri, "/admin"):
			w.Header().Set("X-Decision", "by-"+who)
			w.Header().Set("X-Other", "not asked for")
			_, _ = io.WriteString(w, `{"result": true}`)
		default:
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("X-Internal", "rule 7")
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `{"result": false}`)
		}
	}
}

// external returns a policy that asks h, over a real socket.
func external(t *testing.T, h http.HandlerFunc, change ...func(*Config)) *Authz {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return externalAt(t, s.URL+"/decide?x=1", change...)
}

func externalAt(t *testing.T, url string, change ...func(*Config)) *Authz {
	t.Helper()
	x := &ExternalConfig{}
	x.SetDefaults()
	x.URL, x.Timeout, x.ToUpstream = url, 10*time.Second, []string{"x-decision"}
	c := Config{Line: 5, Default: Deny, External: x}
	for _, f := range change {
		f(&c)
	}
	e := NewExternal(*c.External)
	t.Cleanup(e.Close)
	return New("opa", c, e)
}

func allowOnFailure(c *Config) { c.External.OnFailure = Allow }

func impatient(c *Config) { c.External.Timeout = 20 * time.Millisecond }

func cached(c *Config) {
	c.External.Cache = &ExternalCacheConfig{For: 10 * time.Second, MaxEntries: 100}
}

func by(who, line string) *http.Request {
	h := http.Header{}
	if who != "" {
		h.Set("Authorization", "Bearer "+who)
	}
	r := said{line: line, host: "api.example.com:8080", from: "192.0.2.7", header: h}.request()
	_, r.RequestURI, _ = strings.Cut(line, " ")
	return r
}

func TestExternalDecides(t *testing.T) {
	a := external(t, decisionPoint(new(atomic.Int64)))
	tests := []struct {
		who, line string
		status    int // 0: allowed
		forward   string
	}{
		{"admin", "DELETE /admin/users/1", 0, "by-admin"},
		{"reader", "GET /orders?x=1", 0, "by-reader"},
		{"reader", "POST /orders", 403, ""},
		{"reader", "GET /admin/users", 403, ""},
		{"stranger", "GET /orders", 403, ""},
		{"", "GET /orders", 401, ""},
	}
	for _, tt := range tests {
		t.Run(tt.line+" by "+tt.who, func(t *testing.T) {
			r := by(tt.who, tt.line)
			rec := exchange.From(r.Context())
			err := a.Check(r)
			if tt.status == 0 {
				want := []exchange.Field{{Name: "X-Decision", Value: tt.forward}}
				if diff := cmp.Diff(want, rec.Forwards()); err != nil || diff != "" {
					t.Fatalf("Check() = %v, want nil; the upstream is told (-want +got):\n%s", err, diff)
				}
				if ds := rec.Decisions(); len(ds) != 1 || ds[0].Outcome != exchange.Pass || ds[0].Line != 5 {
					t.Errorf("the record hears %+v, want one pass of line 5", ds)
				}
				return
			}
			f := refusal(t, err)
			if f.Ready == nil || f.Ready.Status != tt.status || f.Reason != exchange.ExternalDenied || f.Line != 5 || len(rec.Forwards()) > 0 {
				t.Errorf("Check() = %+v, want the answer %d of line 5, and nothing for the upstream", f, tt.status)
			}
		})
	}
}

func TestExternalIsTheAnswer(t *testing.T) {
	many := strings.Repeat("x", maxAnswerBody)
	tests := []struct {
		name string
		h    http.HandlerFunc
		want exchange.Ready
		head http.Header
	}{
		{
			"a challenge", decisionPoint(new(atomic.Int64)),
			exchange.Ready{Status: 401},
			http.Header{"Www-Authenticate": {`Bearer realm="decisions"`}},
		},
		{
			"a way to log in", func(w http.ResponseWriter, r *http.Request) {
				http.SetCookie(w, &http.Cookie{Name: "state", Value: "1"})
				http.SetCookie(w, &http.Cookie{Name: "nonce", Value: "2"})
				w.Header()["Content-Type"] = nil
				w.Header().Set("X-Powered-By", "nobody's business")
				w.Header().Set("Location", "https://login.example.com/?back="+r.Header.Get("X-Forwarded-Uri"))
				w.WriteHeader(302)
			},
			exchange.Ready{Status: 302},
			http.Header{"Location": {"https://login.example.com/?back=/"}, "Set-Cookie": {"state=1", "nonce=2"}},
		},
		{
			"a text of no type", func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["Content-Type"] = nil
				w.WriteHeader(418)
				_, _ = io.WriteString(w, "<script>")
			},
			exchange.Ready{Status: 418, ContentType: "text/plain; charset=utf-8", Body: []byte("<script>")},
			http.Header{},
		},
		{
			"an encoding that nobody asked for", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Encoding", "br")
				w.WriteHeader(403)
				_, _ = io.WriteString(w, "?")
			},
			exchange.Ready{Status: 403},
			http.Header{},
		},
		{
			"100 MiB", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/x")
				w.WriteHeader(403)
				for range 100 << 20 / len(many) {
					if _, err := io.WriteString(w, many); err != nil {
						return
					}
				}
			},
			exchange.Ready{Status: 403, ContentType: "text/x", Body: []byte(many)},
			http.Header{},
		},
		{
			"a body that breaks off", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/x")
				w.Header().Set("Content-Length", "100")
				w.WriteHeader(403)
				_, _ = io.WriteString(w, "no")
			},
			exchange.Ready{Status: 403, ContentType: "text/x", Body: []byte("no")},
			http.Header{},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := external(t, tt.h, allowOnFailure) // an answer is no failure
			f := refusal(t, a.Check(by("", "GET /")))
			if diff := cmp.Diff(&tt.want, f.Ready); diff != "" {
				t.Errorf("the client's answer (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.head, f.Header); diff != "" {
				t.Errorf("its header (-want +got):\n%s", diff)
			}
		})
	}
}

// hangs is a decision point that takes a request and says nothing.
func hangs(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// raws returns the URL of a server that says text to any request and hangs up.
func raws(t *testing.T, text string) string {
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = http.ReadRequest(bufio.NewReader(c))
			_, _ = io.WriteString(c, text)
			_ = c.(*net.TCPConn).SetLinger(0) // a reset
			c.Close()
		}
	}()
	return "http://" + l.Addr().String()
}

func TestExternalFails(t *testing.T) {
	server := func(h http.HandlerFunc) string {
		s := httptest.NewServer(h)
		t.Cleanup(s.Close)
		return s.URL
	}
	closed := httptest.NewServer(nil)
	closed.Close()
	tests := []struct {
		name, url, why string
		change         func(*Config)
	}{
		{"it says 500", server(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }), "the answer is 500, must be 200 to 499", nil},
		{"it says 503", server(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }), "the answer is 503", nil},
		{"it says 999", raws(t, "HTTP/1.1 999 ?\r\n\r\n"), "the answer is 999", nil},
		{"it switches protocols", raws(t, "HTTP/1.1 101 X\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"), "the answer is 101", nil},
		{"it is not there", closed.URL, "connection refused", nil},
		{"it hangs", server(hangs), "no answer within 20ms", impatient},
		{"it resets", raws(t, ""), "", nil},
		{"it speaks no HTTP", raws(t, "220 mail.example.com secret\r\n"), "malformed HTTP", nil},
		{"it has an endless header", raws(t, "HTTP/1.1 200 OK\r\nX: "+strings.Repeat("x", 1<<20)), "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			change := []func(*Config){func(*Config) {}}
			if tt.change != nil {
				change[0] = tt.change
			}
			r := by("admin", "GET /")
			f := refusal(t, externalAt(t, tt.url, change...).Check(r))
			if f.Reason != exchange.AuthzUnavailable || f.Header.Get("Retry-After") != "1" || f.Detail != "" || f.Ready != nil {
				t.Errorf("deny: %+v, want authz_unavailable with Retry-After, and no detail", f)
			}
			if !strings.Contains(f.Note, tt.why) || strings.Contains(f.Note, "secret") {
				t.Errorf("deny: the record hears %q, want %q and nothing from the wire", f.Note, tt.why)
			}

			err := externalAt(t, tt.url, append(change, allowOnFailure)...).Check(r)
			rec := exchange.From(r.Context())
			ds := rec.Decisions()
			if err != nil || len(ds) != 1 || ds[0].Outcome != exchange.Broken || ds[0].Reason != exchange.AuthzUnavailable {
				t.Errorf("allow: %v, %+v, want nil and one broken decision", err, ds)
			}
			if diff := cmp.Diff([]exchange.Field{{Name: "X-Decision"}}, rec.Forwards()); diff != "" {
				t.Errorf("allow: the upstream is told (-want +got):\n%s", diff)
			}
		})
	}
}

func TestExternalFollowsNoRedirect(t *testing.T) {
	var elsewhere atomic.Int64
	s := httptest.NewServer(decisionPoint(&elsewhere))
	t.Cleanup(s.Close)
	a := external(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, s.URL, http.StatusTemporaryRedirect) })
	f := refusal(t, a.Check(by("admin", "GET /")))
	if f.Ready == nil || f.Ready.Status != 307 || f.Header.Get("Location") != s.URL || elsewhere.Load() != 0 {
		t.Errorf("Check() = %+v, and %d calls where it leads, want 307 and none", f, elsewhere.Load())
	}
}

func TestWhatExternalIsTold(t *testing.T) {
	var got http.Header
	var target, host string
	a := external(t, func(_ http.ResponseWriter, r *http.Request) {
		got, target, host = r.Header, r.Method+" "+r.RequestURI, r.Host
	}, func(c *Config) {
		c.External.ForwardHeaders = []string{"authorization", "X-Tenant", "X-Absent"}
	})
	r := by("admin", "PUT /a%2Fb?q=1&q=2")
	r.Header["X-Tenant"], r.Header["X_tenant"] = []string{"a", "b"}, []string{"c"}
	r.Header["Cookie"] = []string{"secret=1"}
	r.Header["X-Forwarded-For"] = []string{"6.6.6.6"}
	r.Header["X-Forwarded-Method"] = []string{"GET"}
	r.Header["X-Forwarded-Proto"] = []string{"https"}
	r.Header["Traceparent"] = []string{"00-11111111111111111111111111111111-2222222222222222-01"}
	rec := exchange.From(r.Context())
	rec.ID, rec.Scheme = "r-1", "http"
	want := func(proto, trace string) http.Header {
		h := http.Header{
			"Authorization": {"Bearer admin"}, "X-Tenant": {"a", "b", "c"}, "User-Agent": {"sidecar"},
			"X-Forwarded-Method": {"PUT"}, "X-Forwarded-Proto": {proto}, "X-Forwarded-Host": {"api.example.com:8080"},
			"X-Forwarded-Uri": {"/a%2Fb?q=1&q=2"}, "X-Forwarded-For": {"192.0.2.7"}, "X-Request-Id": {"r-1"},
		}
		if trace != "" {
			h["Traceparent"] = []string{trace}
		}
		return h
	}
	ask := func(name string, want http.Header) {
		t.Helper()
		if err := a.Check(r); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: (-want +got):\n%s", name, diff)
		}
	}
	ask("a stranger's word", want("http", ""))
	r.RequestURI = "/%61%2Fb?q=1&q=2"
	ask("another spelling of what rules read", want("http", ""))
	rec.Trusted, rec.Scheme = true, "https"
	ask("a trusted peer's word", want("https", r.Header.Get("Traceparent")))
	rec.TraceID, rec.TraceParent = "33", "00-33-44-01"
	ask("a trace of ours", want("https", "00-33-44-01"))
	rec.TraceParent = ""
	ask("a trace of ours that is not told", want("https", ""))
	if target != "GET /decide?x=1" || !strings.HasPrefix(host, "127.0.0.1:") {
		t.Errorf("asked is %s at %s, want the URL as it is written", target, host)
	}
}

func TestExternalUsesItsConnectionsAgain(t *testing.T) {
	var calls atomic.Int64
	conns := map[net.Conn]bool{}
	s := httptest.NewUnstartedServer(decisionPoint(&calls))
	s.Config.ConnState = func(c net.Conn, _ http.ConnState) { conns[c] = true } // one at a time here
	s.Start()
	a := externalAt(t, s.URL)
	for _, who := range []string{"admin", "stranger", "", "admin"} {
		_ = a.Check(by(who, "GET /"))
	}
	a.external.Close()
	s.Close()
	if len(conns) != 1 || calls.Load() != 4 {
		t.Errorf("%d connections for %d calls, want 1 for 4", len(conns), calls.Load())
	}
}

func TestExternalRemembers(t *testing.T) {
	var calls atomic.Int64
	a := external(t, decisionPoint(&calls), cached)
	asks := func(want int64, r *http.Request) {
		t.Helper()
		before := calls.Load()
		_ = a.Check(r)
		if got := calls.Load() - before; got != want {
			t.Errorf("%s %s by %q: %d calls, want %d", r.Method, r.RequestURI, r.Header.Get("Authorization"), got, want)
		}
	}
	asks(1, by("admin", "GET /a"))
	asks(0, by("admin", "GET /a"))
	asks(1, by("admin", "GET /a?x"))
	asks(1, by("admin", "POST /a"))
	asks(1, by("stranger", "GET /a"))
	asks(0, by("stranger", "GET /a"))
	asks(1, by("", "GET /a"))
	asks(0, by("", "GET /a"))
	other := by("admin", "GET /a")
	other.Host = "other.example.com"
	asks(1, other)
	from := by("admin", "GET /a")
	exchange.From(from.Context()).Client = netip.MustParseAddr("192.0.2.8")
	asks(1, from)
	again := by("admin", "GET /a")
	exchange.From(again.Context()).ID = "another"
	exchange.From(again.Context()).TraceParent = "00-33-44-01"
	asks(0, again)

	// What is remembered is the whole of it.
	r := by("admin", "GET /a")
	if err := a.Check(r); err != nil || exchange.From(r.Context()).Forwards()[0].Value != "by-admin" {
		t.Errorf("remembered: %v, %v, want what was said at first", err, exchange.From(r.Context()).Forwards())
	}
	f := refusal(t, a.Check(by("", "GET /a")))
	if f.Ready.Status != 401 || f.Header.Get("WWW-Authenticate") == "" {
		t.Errorf("remembered: %+v, want the challenge", f)
	}
}

func TestExternalDoesNotRememberWhatHoldsOnce(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"a failure":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
		"a 404":      func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) },
		"a redirect": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(302) },
		"a cookie":   func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Set-Cookie", "a=b"); w.WriteHeader(401) },
		"no-store": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Cache-Control", "private, No-Store")
		},
	} {
		var calls atomic.Int64
		a := external(t, func(w http.ResponseWriter, r *http.Request) { calls.Add(1); h(w, r) }, cached)
		for range 2 {
			_ = a.Check(by("", "GET /"))
		}
		if calls.Load() != 2 {
			t.Errorf("%s: %d calls, want 2", name, calls.Load())
		}
	}
}

func TestRememberedAnswersEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := NewExternal(ExternalConfig{Cache: &ExternalCacheConfig{For: 10 * time.Second, MaxEntries: 10}})
		var key digest
		e.remember(key, &verdict{status: 204})
		time.Sleep(10*time.Second - time.Nanosecond)
		if _, ok := e.kept.get(key); !ok {
			t.Error("forgotten before its time")
		}
		time.Sleep(time.Nanosecond)
		if _, ok := e.kept.get(key); ok {
			t.Error("remembered beyond its time")
		}
	})
}

func TestRememberedAnswersAreBounded(t *testing.T) {
	e := NewExternal(ExternalConfig{Cache: &ExternalCacheConfig{For: time.Hour, MaxEntries: 100}})
	for i := range 10_000 {
		e.remember(keyOf(http.Header{"X": {fmt.Sprint(i)}}), &verdict{status: 403, body: make([]byte, 9<<10)})
	}
	e.kept.kept.CleanUp()
	if got := e.kept.kept.EstimatedSize(); got > 10 {
		t.Errorf("%d answers of 9 KiB are kept, want 10 at most", got)
	}
}

// Two questions that differ never have one key.
func TestKeysTellQuestionsApart(t *testing.T) {
	seen := map[digest]int{}
	for i, h := range []http.Header{
		{},
		{"A": {"b"}},
		{"A": {"b", ""}},
		{"A": {""}, "B": nil},
		{"A": {"", "B"}},
		{"A": {"=", "b"}},
		{"A": {"b="}},
		{"A": {"b"}, "B": {""}},
		{"Ab": nil},
	} {
		key := keyOf(h)
		if j, ok := seen[key]; ok {
			t.Errorf("questions %d and %d have one key", i, j)
		}
		seen[key] = i
	}
}

// A client that has left gets no answer, and what it asked is no failure of the
// decision point.
func TestAClientThatLeavesIsNoFailure(t *testing.T) {
	asked := make(chan struct{})
	a := external(t, func(w http.ResponseWriter, r *http.Request) { close(asked); hangs(w, r) }, allowOnFailure)
	r := by("admin", "GET /")
	ctx, leave := context.WithCancel(r.Context())
	go func() { <-asked; leave() }()
	err := a.Check(r.WithContext(ctx))
	if err == nil || len(exchange.From(ctx).Decisions()) != 0 {
		t.Errorf("Check() = %v, noted %+v, want an error and nothing noted", err, exchange.From(ctx).Decisions())
	}
}

func TestAShadowTellsTheUpstreamNothing(t *testing.T) {
	a := external(t, decisionPoint(new(atomic.Int64)), func(c *Config) { c.Mode = exchange.ModeShadow })
	r := by("admin", "GET /")
	if err := a.Check(r); err != nil || len(exchange.From(r.Context()).Forwards()) != 0 {
		t.Errorf("Check() = %v, the upstream is told %v, want nil and nothing", err, exchange.From(r.Context()).Forwards())
	}
}
