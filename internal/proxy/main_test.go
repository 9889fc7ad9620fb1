package proxy

import (
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sidecar/internal/exchange"
	"sidecar/internal/policy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// seen is an observer that keeps what it is told.
type seen struct {
	mu       sync.Mutex
	attempts []exchange.Attempt
	events   []exchange.Event
	ends     chan ending
}

// ending is what a record held at its end.
type ending struct {
	ID, Route, Client string
	Scheme            string
	Status, Attempts  int
	Reason            exchange.Reason
	BytesIn, BytesOut int64
	Took              time.Duration
	Decisions         []exchange.Decision
	Principal         *exchange.Principal
	Upstream          string
}

// noted returns the decision with that reason.
func (e ending) noted(reason exchange.Reason) (exchange.Decision, bool) {
	for _, d := range e.Decisions {
		if d.Reason == reason {
			return d, true
		}
	}
	return exchange.Decision{}, false
}

func newSeen() *seen { return &seen{ends: make(chan ending, 10_000)} }

func (s *seen) Begin(ctx context.Context, _ *exchange.Record) context.Context { return ctx }

func (s *seen) Attempt(ctx context.Context, _ *exchange.Record, _ *exchange.Attempt) context.Context {
	return ctx
}

func (s *seen) Attempted(_ context.Context, _ *exchange.Record, a *exchange.Attempt) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.attempts = append(s.attempts, *a)
}

func (s *seen) End(_ context.Context, r *exchange.Record) {
	s.ends <- ending{
		r.ID, r.Route, r.Client.String(), r.Scheme, r.Status, r.Attempts(), r.Reason, r.BytesIn, r.BytesOut, r.Took,
		slices.Clone(r.Decisions()), r.Principal(), r.Upstream,
	}
}

func (s *seen) Event(e exchange.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, e)
	return nil
}

// next returns how the next exchange ends.
func (s *seen) next(t *testing.T) ending {
	t.Helper()
	select {
	case e := <-s.ends:
		return e
	case <-time.After(20 * time.Second):
		t.Fatal("the exchange does not end")
		return ending{}
	}
}

func (s *seen) transitions() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for _, e := range s.events {
		if e.Kind == exchange.CircuitBreaker {
			all = append(all, e.Name+": "+e.From+" -> "+e.To)
		}
	}
	return all
}

// parse returns the policy in text, in which UPSTREAM stands for url.
func parse(t testing.TB, text, url string) *policy.File {
	t.Helper()
	f, err := policy.Parse("test.yaml", []byte(text), policy.Options{LookupEnv: func(name string) (string, bool) {
		return url, name == "UPSTREAM"
	}})
	if err != nil {
		t.Fatalf("policy: %v", err)
	}
	return f
}

// apply returns a proxy under the policy in text, and what it tells.
func apply(t testing.TB, text, url string, change ...func(*Options)) (*Proxy, *seen) {
	t.Helper()
	saw := newSeen()
	o := Options{Observers: exchange.Observers{saw}, ErrorLog: log.New(io.Discard, "", 0)}
	for _, c := range change {
		c(&o)
	}
	p := New(o)
	if err := p.Apply(parse(t, text, url)); err != nil {
		t.Fatalf("apply: %v", err)
	}
	t.Cleanup(p.Close)
	return p, saw
}

// listen serves p on a real socket, HTTP/1 and h2c, and returns its URL.
func listen(t testing.TB, p http.Handler) string {
	t.Helper()
	s := httptest.NewUnstartedServer(p)
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetHTTP1(true)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Config.DisableGeneralOptionsHandler = true
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Start()
	t.Cleanup(s.Close)
	return s.URL
}

// service returns the URL of an upstream that h is.
func service(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	return listen(t, h)
}

// client returns an HTTP client that shares nothing with others.
func client(t testing.TB) *http.Client {
	t.Helper()
	transport := &http.Transport{DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
}

// get returns what GET url answers.
func get(t testing.TB, url string) (*http.Response, string) {
	t.Helper()
	resp, err := client(t).Get(url)
	if err != nil {
		t.Fatalf("GET %s: %v", url, err)
	}
	return resp, body(t, resp)
}

func body(t testing.TB, resp *http.Response) string {
	t.Helper()
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("reading the body: %v", err)
	}
	return string(b)
}

// minimal is what a three-line file says, in one route called all.
const minimal = `
version: v1
upstreams: {app: {endpoints: [{url: "${UPSTREAM}"}]}}
routes: [{name: all, upstream: app}]
`

// with returns minimal under policies, and uses them.
func with(use string, policies ...string) string {
	return "version: v1\n" +
		"upstreams: {app: {endpoints: [{url: \"${UPSTREAM}\"}]}}\n" +
		"policies:\n  " + strings.Join(policies, "\n  ") + "\n" +
		"routes: [{name: all, upstream: app, use: {" + use + "}}]\n"
}
