package proxy

import (
	"bufio"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"sidecar/internal/exchange"
)

// limited is everything with a limit of concurrent calls.
var limited = strings.NewReplacer("  retry: {safe: {}}\n", "  retry: {safe: {}}\n  concurrency: {small: {max: 8}}\n",
	"retry: safe,", "retry: safe, concurrency: small,").Replace(everything)

func TestAPlaceIsTakenAboveTheBreakerAndRetry(t *testing.T) {
	p, _ := apply(t, limited, "http://127.0.0.1:1")
	want := []string{
		"validation/sane", "authn/users", "authz/rules", "rateLimit/each", "rateLimit/all",
		"concurrency/small@app",
		"circuitBreaker/standard@app", "retry/safe", "circuitBreaker/standard@app", "attempt",
		"fault/slow", "fault/chaos", "upstream/app",
	}
	if got := chain(p); !slices.Equal(got, want) {
		t.Errorf("chain:\n got %s\nwant %s", strings.Join(got, " "), strings.Join(want, " "))
	}
}

// slots is an upstream that answers when it is told to, and how many it works
// for.
type slots struct {
	url     string
	entered chan struct{}
	release chan struct{}
	calls   atomic.Int64
}

func newSlots(t *testing.T) *slots {
	s := &slots{entered: make(chan struct{}), release: make(chan struct{})}
	s.url = service(t, func(w http.ResponseWriter, r *http.Request) {
		s.calls.Add(1)
		if r.URL.Path == "/events" {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "data: 1\n\n")
			_ = http.NewResponseController(w).Flush()
		}
		s.entered <- struct{}{}
		<-s.release
		_, _ = io.WriteString(w, "well")
	})
	return s
}

// get sends a request that the upstream is to hold, and returns its answer.
func (s *slots) get(t *testing.T, url string) chan *http.Response {
	done := make(chan *http.Response, 1)
	go func() {
		resp, err := client(t).Get(url)
		if err != nil {
			t.Error(err)
		}
		done <- resp
	}()
	<-s.entered
	return done
}

func TestOnlySoManyCallsAreInFlight(t *testing.T) {
	up := newSlots(t)
	p, saw := apply(t, with("concurrency: small", `concurrency: {small: {max: 1, queue: {max: 0}}}`), up.url)
	url := listen(t, p)

	first := up.get(t, url)
	resp, text := get(t, url)
	e := saw.next(t)
	if resp.StatusCode != 503 || e.Reason != exchange.Overloaded || resp.Header.Get("Retry-After") == "" {
		t.Errorf("a second call: %d, reason %q, Retry-After %q, want 503 overloaded, and when to come back",
			resp.StatusCode, e.Reason, resp.Header.Get("Retry-After"))
	}
	for _, want := range []string{`#temporary-reduced-capacity"`, `"policy":"concurrency/small@app"`} {
		if !strings.Contains(text, want) {
			t.Errorf("the answer is %s, want %s in it", text, want)
		}
	}
	if got := resp.Header.Get("Proxy-Status"); !strings.Contains(got, "connection_limit_reached") {
		t.Errorf("Proxy-Status %q, want connection_limit_reached in it", got)
	}
	up.release <- struct{}{}
	if resp := <-first; body(t, resp) != "well" {
		t.Error("the first call is not answered")
	}
	saw.next(t)

	second := up.get(t, url) // there is a place again
	up.release <- struct{}{}
	body(t, <-second)
	if got := up.calls.Load(); got != 2 {
		t.Errorf("%d calls, want 2", got)
	}
}

func TestAReloadKeepsThePlacesOfALimitThatDidNotChange(t *testing.T) {
	up := newSlots(t)
	text := with("concurrency: small", `concurrency: {small: {max: 1, queue: {max: 0}}}`)
	p, _ := apply(t, text, up.url)
	url := listen(t, p)
	first := up.get(t, url)
	status := func() int {
		resp, _ := get(t, url)
		return resp.StatusCode
	}
	if err := p.Apply(parse(t, "# moved\n"+text, up.url)); err != nil {
		t.Fatal(err)
	}
	if got := status(); got != 503 {
		t.Errorf("after a reload that moves a line: %d, want 503: the first call has the place", got)
	}
	if err := p.Apply(parse(t, strings.Replace(text, "max: 1", "max: 2", 1), up.url)); err != nil {
		t.Fatal(err)
	}
	second := up.get(t, url)
	up.release <- struct{}{}
	up.release <- struct{}{}
	body(t, <-first)
	body(t, <-second)
}

func TestAnEventStreamHoldsNoPlace(t *testing.T) {
	up := newSlots(t)
	p, _ := apply(t, with("concurrency: small", `concurrency: {small: {max: 1, queue: {max: 0}}}`), up.url)
	url := listen(t, p)
	stream := <-up.get(t, url+"/events")
	if line, err := bufio.NewReader(stream.Body).ReadString('\n'); line != "data: 1\n" {
		t.Fatalf("the stream begins with %q, %v", line, err)
	}
	other := up.get(t, url)
	up.release <- struct{}{}
	up.release <- struct{}{}
	body(t, stream)
	body(t, <-other)
}

// A drill that fails calls, and an open breaker, are no load.
func TestCallsThatTheBreakerRefusesGiveTheirPlaceBack(t *testing.T) {
	p, saw := apply(t, with("concurrency: small, circuitBreaker: quick, retry: none",
		`concurrency: {small: {max: 1, queue: {max: 0}}}`, `circuitBreaker: {quick: {consecutiveFailures: 1}}`), service(t, failing))
	url := listen(t, p)
	for i, want := range []exchange.Reason{"", exchange.BreakerOpen, exchange.BreakerOpen} {
		get(t, url+"/fail")
		if e := saw.next(t); e.Reason != want {
			t.Errorf("call %d: reason %q, want %q", i+1, e.Reason, want)
		}
	}
	if got := p.Snapshot().Limits()[0].Status().InFlight; got != 0 {
		t.Errorf("%d in flight, want none", got)
	}
}
