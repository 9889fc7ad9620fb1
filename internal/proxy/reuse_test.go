package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sidecar/internal/authz"
	"sidecar/internal/exchange"
)

// holder is an observer that keeps the crossing of the last exchange, and may
// make a context of it.
type holder struct {
	exchange.NoAttempts
	x     *crossing
	makes func(context.Context) context.Context
}

func (h *holder) Begin(ctx context.Context, _ *exchange.Record) context.Context {
	h.x, _ = ctx.(*crossing)
	if h.makes != nil {
		return h.makes(ctx)
	}
	return ctx
}

func (*holder) End(context.Context, *exchange.Record) {}

// isUsedAgain reports whether the crossing was emptied, and is there for
// another request.
func (h *holder) isUsedAgain() bool { return h.x.Context == nil }

type asContext struct{}

// Who may look at an exchange when it is over has it for good.
func TestACrossingIsUsedAgainOnlyIfNobodyHoldsIt(t *testing.T) {
	up := service(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/broken":
			panic(http.ErrAbortHandler)
		case r.URL.Path == "/long":
			w.WriteHeader(200)
			_ = http.NewResponseController(w).Flush()
			time.Sleep(2 * soon)
		}
		_, _ = io.Copy(io.Discard, r.Body)
	})
	const yes, no = true, false
	retries := func(more string) string { return with("retry: some", "retry: {some: {"+more+"}}") }
	tests := []struct {
		name, policy, path string
		body               io.Reader
		field              string
		makes              func(context.Context) context.Context
		want               bool
	}{
		{name: "nobody", policy: minimal, want: yes},
		{name: "nobody, with a body", policy: minimal, body: strings.NewReader("hi"), want: yes},
		{name: "nobody, where gates refuse", policy: with("validation: v", "validation: {v: {methods: [PUT]}}"), want: yes},
		{name: "who dials, when the connection breaks", policy: with("retry: none", "retry: {v: {}}"), path: "/broken", want: no},
		{name: "nobody, after a place was free", policy: with("concurrency: c", "concurrency: {c: {max: 3}}"), want: yes},
		{name: "who watches a long exchange", policy: minimal, path: "/long", want: no},
		{name: "net/http's transport", policy: strings.Replace(minimal, "endpoints:", "transport: standard, endpoints:", 1), want: no},
		{name: "HTTP/2", policy: strings.Replace(minimal, "endpoints:", "protocol: h2c, endpoints:", 1), want: no},
		{name: "a ReverseProxy", policy: minimal, field: "Te: trailers", want: no},
		{name: "an upgrade that is ignored", policy: minimal, field: "Upgrade: x", want: no},
		{name: "a try with a time of its own", policy: retries("perTryTimeout: 5s, retryOn: [timeout]"), want: no},
		{name: "a hedge that may come", policy: retries("hedge: {after: 5s}"), want: no},
		{name: "a gate that keeps the body", policy: checked("enforce"), body: strings.NewReader(hello), field: "Content-Type: application/json", want: no},
		{name: "a body that trickles", policy: minimal, body: &trickling{text: "hello"}, want: no},
		{
			name: "an observer's context", policy: minimal, want: no,
			makes: func(ctx context.Context) context.Context { return context.WithValue(ctx, asContext{}, 1) },
		},
		{name: "a context without an end", policy: minimal, want: no, makes: context.WithoutCancel},
		{name: "a wait", policy: minimal, want: no, makes: func(ctx context.Context) context.Context { ctx.Done(); return ctx }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := &holder{makes: tt.makes}
			p, _ := apply(t, tt.policy, up, func(o *Options) { o.Observers = append(o.Observers, h) })
			p.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/first", nil)) // a dialer asks for Done
			method := "GET"
			if tt.body != nil {
				method = "POST"
			}
			r := httptest.NewRequest(method, "http://h"+tt.path+"/", tt.body)
			r = r.WithContext(context.Background()) // with no end, and no server
			r.RequestURI = "/" + strings.TrimPrefix(tt.path, "/")
			if r.URL.Path = r.RequestURI; tt.body != nil && r.ContentLength < 0 {
				r.ContentLength = 5
			}
			if name, value, ok := strings.Cut(tt.field, ": "); ok {
				r.Header.Set(name, value)
			}
			p.ServeHTTP(httptest.NewRecorder(), r)
			if got := h.isUsedAgain(); got != tt.want {
				t.Errorf("the crossing is used again: %v, want %v", got, tt.want)
			}
		})
	}
}

// trickling is a body that comes one byte at a time.
type trickling struct{ text string }

func (b *trickling) Read(p []byte) (int, error) {
	if b.text == "" {
		return 0, io.EOF
	}
	time.Sleep(3 * time.Millisecond)
	n := copy(p[:1], b.text)
	b.text = b.text[n:]
	return n, nil
}

// What went wrong is not used again, whoever did it.
func TestACrossingIsNotUsedAgainAfterAPanic(t *testing.T) {
	for name, at := range map[string]func(*Options, *holder){
		"a layer": func(o *Options, _ *holder) {
			o.Transport = exchange.RoundTripFunc(func(*http.Request) (*http.Response, error) { panic("layer") })
		},
		"an observer": func(o *Options, h *holder) { h.makes = func(context.Context) context.Context { panic("observer") } },
	} {
		t.Run(name, func(t *testing.T) {
			h := &holder{}
			p, _ := apply(t, minimal, "http://127.0.0.1:1", func(o *Options) {
				o.Observers = append(o.Observers, h)
				at(o, h)
			})
			func() {
				defer func() { _ = recover() }()
				p.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
			}()
			if h.isUsedAgain() {
				t.Error("the crossing is used again, want that it is let go")
			}
		})
	}
}

// Nothing of one request is there for the next.
func TestACrossingThatIsUsedAgainIsEmpty(t *testing.T) {
	h := &holder{}
	p, _ := apply(t, minimal, service(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Late")
		_, _ = io.Copy(w, r.Body)
	}), func(o *Options) { o.Observers = append(o.Observers, h) })
	p.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/first", nil)) // a dialer asks for Done
	r := httptest.NewRequest("POST", "/path?query", strings.NewReader("body")).WithContext(context.Background())
	r.Header.Set("X-Secret", "x")
	p.ServeHTTP(httptest.NewRecorder(), r)
	if !h.isUsedAgain() {
		t.Fatal("the crossing is not used again")
	}
	o := h.x.own
	for _, r := range []*http.Request{o.in, o.out} {
		if r.URL != nil || r.Header != nil || r.Body != nil || r.Trailer != nil || r.Host != "" || r.RemoteAddr != "" || r.RequestURI != "" {
			t.Errorf("a request is %+v, want nothing", r)
		}
	}
	if len(o.header) != 0 || len(o.values) != 0 || o.interim.done {
		t.Errorf("fields %v, values %q, done %v, want none", o.header, o.values, o.interim.done)
	}
	for _, v := range o.values[:cap(o.values)] {
		if v != "" {
			t.Errorf("a value is kept: %q", v)
		}
	}
	if h.x.Record.ID != "" || h.x.Record.RequestHeader != nil || h.x.call.Context != nil || h.x.lent.Load() {
		t.Errorf("the record is %+v, want none", h.x.Record.ID)
	}
}

// A bell that was set for one exchange rings in the next one, and later for
// that one alone.
func TestABellRingsForWhoeverHasTheCrossing(t *testing.T) {
	takes := 5 * time.Millisecond
	upstream := func(r *http.Request) (*http.Response, error) {
		select {
		case <-time.After(takes):
			return exchange.NewResponse(r, 200, "", nil, nil), nil
		case <-r.Context().Done():
			return nil, exchange.Ended(r.Context())
		}
	}
	quiet := func(r *http.Request) (*http.Response, error) { // does not ask for Done
		time.Sleep(takes)
		return exchange.NewResponse(r, 200, "", nil, nil), nil
	}
	inBubble(t, timed("100ms", "1m"), func(r *http.Request) (*http.Response, error) {
		if takes > 100*time.Millisecond {
			return upstream(r)
		}
		return quiet(r)
	}, func(t *testing.T, p *Proxy, _ *seen) {
		for _, tt := range []struct {
			takes, want time.Duration
			status      int
		}{
			{5, 5, 200},
			{18, 18, 200}, // the bell of the first one rings after 15
			{99, 99, 200},
			{1, 1, 200},
			{1000, 100, 504},
			{30, 30, 200},
		} {
			takes = tt.takes * time.Millisecond
			start := time.Now()
			resp := serve(p, newConn(), httptest.NewRequest("GET", "/", nil))
			if took := time.Since(start); resp.StatusCode != tt.status || took != tt.want*time.Millisecond {
				t.Errorf("what takes %v: status %d after %v, want %d after %v", takes, resp.StatusCode, took, tt.status, tt.want*time.Millisecond)
			}
		}
	})
}

// One that is set for long is stopped: it would hold a crossing that is used no
// more.
func TestABellThatIsSetForLongIsStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newCrossing()
		g := guardOf((&http.Request{}).WithContext(x))
		x.call.Context = x
		if err := g.begin(times{time.Hour, time.Hour}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * soon)
		g.end()
		if x.own.bell.timer.Stop() {
			t.Error("the bell is still set")
		}
	})
}

// crowd is a policy under which everything happens that can happen to a call.
const crowd = `
version: v1
upstreams:
  app: {endpoints: [{url: "${UPSTREAM}"}], retryBudget: {percent: 1000, minPerSecond: 100000}}
  std: {endpoints: [{url: "${UPSTREAM}"}], transport: standard, retryBudget: {percent: 1000, minPerSecond: 100000}}
policies:
  authn: {users: {issuers: [{issuer: me, secretFile: testdata/secret}], forwardClaims: {X-User: subject}}}
  retry:
    again: {maxAttempts: 3, retryOn: ["503", reset, connect-failure], methods: [GET, POST], backoff: {base: 0s, max: 0s}}
    hedged: {hedge: {after: 1ms}}
    tries: {perTryTimeout: 10ms, retryOn: [timeout], backoff: {base: 0s, max: 0s}}
  fault:
    chaos: {enabled: true, percent: 50, abort: {status: 503}}
  concurrency: {few: {max: 6, queue: {max: 100}}}
  circuitBreaker: {no: {consecutiveFailures: 1000000}}
routes:
  - {name: std, match: {pathPrefix: /std}, upstream: std, use: {authn: users, retry: again, circuitBreaker: no}}
  - {name: hedged, match: {pathPrefix: /hedged}, upstream: app, use: {authn: users, retry: hedged, circuitBreaker: no}}
  - {name: tries, match: {pathPrefix: /tries}, upstream: app, use: {authn: users, retry: tries, circuitBreaker: no}}
  - {name: fault, match: {pathPrefix: /fault}, upstream: app, use: {authn: users, retry: again, fault: chaos, circuitBreaker: no}}
  - {name: few, match: {pathPrefix: /few}, upstream: app, use: {authn: users, concurrency: few, circuitBreaker: no}}
  - {name: brief, match: {pathPrefix: /brief}, upstream: app, timeout: 20ms, use: {authn: users, retry: none, circuitBreaker: no}}
  - {name: NAME, upstream: app, use: {authn: users, retry: again, circuitBreaker: no}}
`

// sayBack is an upstream that says back who asks for what, in the way that the
// path names.
func sayBack(t *testing.T) string {
	return service(t, func(w http.ResponseWriter, r *http.Request) {
		id, first := r.Header.Get("X-Request-Id"), r.Header.Get(attemptHeader) == ""
		switch n := len(r.URL.Path) * 7 % 3; {
		case strings.Contains(r.URL.Path, "early"):
			w.WriteHeader(http.StatusAccepted)
			return
		case strings.Contains(r.URL.Path, "flaky") && first:
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		case strings.Contains(r.URL.Path, "reset") && first:
			panic(http.ErrAbortHandler)
		case strings.Contains(r.URL.Path, "slow"), strings.Contains(r.URL.Path, "brief"), strings.Contains(r.URL.Path, "tries") && first:
			time.Sleep(time.Duration(15+5*n+rand.IntN(10)) * time.Millisecond)
		case strings.Contains(r.URL.Path, "hedged") && first:
			time.Sleep(5 * time.Millisecond)
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		w.Header().Set("X-Mine", r.Header.Get("X-Mine"))
		if strings.Contains(r.URL.Path, "cut") {
			w.Header().Set("Content-Length", "1000000")
		}
		fmt.Fprintf(w, "%s %s %s %s %s", id, r.Header.Get("X-User"), r.Method, r.URL.Path, body)
	})
}

// witness is an observer that is told of one exchange at a time in each record.
type witness struct{ wrong atomic.Pointer[string] }

func (w *witness) check(when string, r *exchange.Record) {
	said := ""
	if !strings.HasSuffix(r.Path, "/"+r.ID) {
		said = fmt.Sprintf("%s: the path %s of the request %s", when, r.Path, r.ID)
	}
	if u := r.Principal(); u != nil && !strings.Contains(r.ID, "-"+u.Subject+"-") {
		said = fmt.Sprintf("%s: %s asks as %s", when, r.ID, u.Subject)
	}
	if said != "" {
		w.wrong.CompareAndSwap(nil, &said)
	}
}

func (w *witness) Begin(ctx context.Context, r *exchange.Record) context.Context {
	w.check("begin", r)
	if r.Principal() != nil || len(r.Decisions()) > 0 || r.Attempts() > 0 || r.Status != 0 || r.Reason != "" || r.ClientFault() != nil {
		said := "a record begins with another one's facts"
		w.wrong.CompareAndSwap(nil, &said)
	}
	if rand.IntN(20) == 0 { // as one that is traced
		ctx = context.WithValue(ctx, asContext{}, r.ID)
		id := r.ID
		time.AfterFunc(30*time.Millisecond, func() {
			if exchange.From(ctx).ID != id {
				said := "who holds a record finds another one in it"
				w.wrong.CompareAndSwap(nil, &said)
			}
		})
	}
	return ctx
}

func (w *witness) Attempt(ctx context.Context, r *exchange.Record, _ *exchange.Attempt) context.Context {
	w.check("attempt", r)
	return ctx
}

func (w *witness) Attempted(_ context.Context, r *exchange.Record, _ *exchange.Attempt) {
	w.check("attempted", r)
}

func (w *witness) End(_ context.Context, r *exchange.Record) { w.check("end", r) }

// Many at once, over few connections, whatever becomes of them: nobody gets
// anything of another's.
func TestNoRequestSeesAnythingOfAnother(t *testing.T) {
	const users, clients = 8, 16
	requests := 400
	if testing.Short() {
		requests = 50
	}
	url, saw := sayBack(t), &witness{}
	text := func(n int) string { return strings.Replace(crowd, "NAME", fmt.Sprintf("all%d", n), 1) }
	p, _ := apply(t, text(0), url, func(o *Options) { o.Observers = exchange.Observers{saw} })
	front := listen(t, p)
	var tokens [users]string
	for i := range tokens {
		token, err := authz.Sign([]byte("0123456789abcdef0123456789abcdef"), authz.Token{Subject: fmt.Sprint("u", i), Issuer: "me", TTL: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		tokens[i] = token
	}
	kinds := []string{"plain", "plain", "plain", "flaky", "reset", "slow", "early", "cut", "std", "std-flaky", "hedged", "tries", "fault", "few", "brief", "std-early"}
	var all sync.WaitGroup
	one := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients, DisableCompression: true}}
	two := h2cClient(t)
	defer one.CloseIdleConnections()
	for n := range clients {
		all.Go(func() {
			for i := range requests {
				user, kind := rand.IntN(users), kinds[rand.IntN(len(kinds))]
				c := one
				if n%4 == 0 {
					c = two
				}
				if err := exchangeOnce(t.Context(), c, front, kind, fmt.Sprintf("%d-u%d-%d", n, user, i), tokens[user]); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	stop := make(chan struct{})
	var reloads sync.WaitGroup
	reloads.Go(func() {
		for n := 1; ; n++ {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
			if err := p.Apply(parse(t, text(n), url)); err != nil {
				t.Error(err)
			}
		}
	})
	all.Wait()
	close(stop)
	reloads.Wait()
	if said := saw.wrong.Load(); said != nil {
		t.Error(*said)
	}
}

// exchangeOnce makes one request of that kind, and returns what is not its own
// in the answer.
func exchangeOnce(ctx context.Context, c *http.Client, url, kind, id, token string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	leaves := rand.IntN(12) == 0
	if leaves {
		time.AfterFunc(time.Duration(rand.IntN(30_000))*time.Microsecond, cancel)
	}
	method, text := "GET", ""
	var body io.Reader
	switch rand.IntN(4) {
	case 0:
		method, text = "POST", strings.Repeat(id, 1+rand.IntN(100))
		body = strings.NewReader(text)
	case 1:
		method, text = "POST", id[:4]
		body = struct{ io.Reader }{&trickling{text: text}}
	}
	path := "/" + kind + "/" + id
	r, _ := http.NewRequestWithContext(ctx, method, url+path, body)
	if text != "" && rand.IntN(2) == 0 {
		r.ContentLength = int64(len(text))
	}
	r.Header.Set("X-Request-Id", id)
	r.Header.Set("X-Mine", id)
	if rand.IntN(8) == 0 {
		r.Header.Set("Te", "trailers")
	}
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := c.Do(r)
	if err != nil {
		if leaves || kind == "cut" || errors.Is(err, io.EOF) || strings.Contains(err.Error(), "reset") || method == "POST" {
			return nil
		}
		return fmt.Errorf("%s: %w", path, err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if have := resp.Header["X-Request-Id"]; len(have) != 1 || have[0] != id {
		return fmt.Errorf("%s: the answer is for %q", path, have)
	}
	_, user, _ := strings.Cut(id, "-")
	user, _, _ = strings.Cut(user, "-")
	want := strings.TrimSpace(fmt.Sprintf("%s %s %s %s %s", id, user, method, path, text))
	if resp.StatusCode != 200 || err != nil {
		if s := string(got); strings.Contains(s, `"requestId"`) && !strings.Contains(s, id) {
			return fmt.Errorf("%s: %d %s", path, resp.StatusCode, s)
		}
		return nil
	}
	if strings.TrimSpace(string(got)) != want || resp.Header.Get("X-Mine") != id {
		return fmt.Errorf("%s: the answer is %q of %q, want %q", path, got, resp.Header.Get("X-Mine"), want)
	}
	return nil
}
