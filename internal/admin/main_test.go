package admin

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"sidecar/internal/exchange"
	"sidecar/internal/faults"
	"sidecar/internal/policy"
	"sidecar/internal/proxy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// secret stands in a file and a variable that the policy names, and must
// stand in no answer.
const secret = "correct-horse-battery-staple-9000"

// other is another one, in the variable OTHER.
const other = "wrong-horse-battery-staple-9001"

const shop = `
version: v1
upstreams: {app: {endpoints: [{url: "http://127.0.0.1:1"}]}}
policies:
  authn: {users: {issuers: [{issuer: sidecar, secretFile: key}]}}
  circuitBreaker: {standard: {}}
  fault: {chaos: {abort: {status: 503}, maxDuration: 10m}}
routes:
  - {name: private, match: {pathPrefix: /private}, upstream: app, use: {authn: users, circuitBreaker: {minRequests: 7}}}
  - {name: all, upstream: app, use: {circuitBreaker: standard, fault: chaos}}
`

// heard keeps events, but those that somebody asks for and it objects to.
type heard struct {
	mu     sync.Mutex
	events []exchange.Event

	object func(exchange.Event) error // nil: never
	hear   func(exchange.Event)       // each one as well; nil: nobody
}

func (h *heard) event(e exchange.Event) error {
	if h.object != nil && !e.Who.IsZero() {
		if err := h.object(e); err != nil {
			return err
		}
	}
	if h.hear != nil {
		h.hear(e)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, e)
	return nil
}

// told returns what was heard since the last call, a line each.
func (h *heard) told() (lines []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.events {
		if e.Kind == exchange.Reload {
			continue // the test's own
		}
		lines = append(lines, e.Who.String()+": "+e.Kind+" "+e.Name+": "+e.From+" -> "+e.To)
	}
	h.events = nil
	return lines
}

// eventsOnly makes a function an observer.
type eventsOnly struct {
	exchange.Observers // of nothing
	hear               func(exchange.Event) error
}

func (o eventsOnly) Event(e exchange.Event) error { return o.hear(e) }

// house is a proxy and all that stands around it.
type house struct {
	*Admin
	*heard
	health *Health
	// reload is what POST /-/reload does, and who asked for it.
	reload func(who exchange.Who) (Change, error)
}

// newHouse returns one without a policy.
func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{heard: &heard{}}
	sw := faults.NewSwitch(h.event)
	recent := &Decisions{}
	px := proxy.New(proxy.Options{Observers: exchange.Observers{eventsOnly{hear: h.event}, recent}, Faults: sw})
	t.Cleanup(px.Close)
	h.health = NewHealth(px)
	h.Admin = &Admin{
		Proxy: px, Faults: sw, Decisions: recent, Listen: "127.0.0.1:9901",
		Reload: func(who exchange.Who) (Change, error) { return h.reload(who) },
	}
	return h
}

// newShop returns a house with the policy shop.
func newShop(t *testing.T) *house {
	t.Helper()
	h := newHouse(t)
	h.apply(t, shop)
	return h
}

// guarded is shop with a token for its admin, which is secret.
const guarded = shop + `
server: {adminToken: "${SECRET}"}
`

func (h *house) apply(t *testing.T, text string) {
	t.Helper()
	if err := h.Proxy.Apply(parse(t, text)); err != nil {
		t.Fatalf("apply: %v", err)
	}
}

// bearing returns a change of a request: it carries token.
func bearing(token string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
}

func options() policy.Options {
	return policy.Options{
		ReadFile: func(string) ([]byte, error) { return []byte(secret), nil },
		LookupEnv: func(name string) (string, bool) {
			value, ok := map[string]string{"SECRET": secret, "OTHER": other}[name]
			return value, ok
		},
	}
}

func parse(t *testing.T, text string) *policy.File {
	t.Helper()
	f, err := policy.Parse("shop.yaml", []byte(text), options())
	if err != nil {
		t.Fatalf("policy: %v", err)
	}
	return f
}

// answer is what a handler said, read.
type answer struct {
	status int
	header http.Header
	body   string
	doc    map[string]any // the body, if it is JSON
}

func (a answer) detail() string {
	text, _ := a.doc["detail"].(string)
	return text
}

// ask sends line, such as "GET /faults", to h, and looks at what every answer
// has.
func ask(t *testing.T, h http.Handler, line, body string, change ...func(*http.Request)) answer {
	t.Helper()
	method, target, _ := strings.Cut(line, " ")
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Host = "localhost:9901"
	r.RemoteAddr = "127.0.0.7:4711"
	for _, c := range change {
		c(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	a := answer{status: w.Code, header: w.Header(), body: w.Body.String()}
	if strings.Contains(a.body, secret) || strings.Contains(a.body, other) {
		t.Errorf("%s tells a secret: %s", line, a.body)
	}
	for field, want := range map[string]string{"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"} {
		if got := a.header.Get(field); got != want {
			t.Errorf("%s: %s: %q, want %q", line, field, got, want)
		}
	}
	if err := json.Unmarshal([]byte(a.body), &a.doc); err != nil {
		t.Errorf("%s: the body %q is not JSON: %v", line, a.body, err)
	}
	wantType := "application/json"
	if a.status >= 400 && a.doc["title"] != nil {
		wantType = "application/problem+json"
		if got := a.doc["status"]; got != float64(a.status) {
			t.Errorf("%s: the problem's status is %v, want %d", line, got, a.status)
		}
	}
	if got := a.header.Get("Content-Type"); got != wantType {
		t.Errorf("%s: Content-Type: %q, want %q", line, got, wantType)
	}
	return a
}
