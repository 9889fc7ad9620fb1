package proxy

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"sidecar/internal/exchange"
)

// decides is a decision point: /open is for all, /login for nobody, the rest
// for who says X-Key: good.
func decides(t *testing.T) (string, *atomic.Int64) {
	t.Helper()
	var calls atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		switch {
		case strings.HasPrefix(r.Header.Get("X-Forwarded-Uri"), "/login"):
			w.Header().Set("Set-Cookie", "state=1")
			http.Redirect(w, r, "https://login.example.com/", http.StatusFound)
		case r.Header.Get("X-Key") == "good":
			w.Header().Set("X-User", "alice")
		case r.Header.Get("X-Forwarded-Uri") != "/open":
			w.Header().Set("WWW-Authenticate", "Key")
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, "<h1>who are you?</h1>")
		}
	}))
	t.Cleanup(s.Close)
	return s.URL, &calls
}

const asking = `
version: v1
upstreams: {app: {endpoints: [{url: "${UPSTREAM}"}]}}
policies:
  authz: {opa: {mode: MODE, external: {url: "OPA", timeout: 10s, forwardHeaders: [X-Key], toUpstream: [X-User], cache: {for: 1h}}}}
routes:
  - {name: free, match: {path: /free}, upstream: app}
  - {name: all, upstream: app, use: {authz: opa}}
`

func externally(opa, mode string) string {
	return strings.NewReplacer("OPA", opa, "MODE", mode).Replace(asking)
}

func TestADecisionPointDecides(t *testing.T) {
	up := service(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "user=%q", slices.Concat(r.Header["X-User"], r.Header["X_user"]))
	})
	opa, _ := decides(t)
	p, saw := apply(t, externally(opa, "enforce"), up)
	url := listen(t, p)
	tests := []struct {
		name, path, header string
		status             int
		body               string
		reason             exchange.Reason
	}{
		{"what it says goes upstream", "/", "X-Key: good", 200, `user=["alice"]`, ""},
		{"and not what the client says", "/", "X-Key: good\nX-User: root\nX_User: root\nConnection: X-User", 200, `user=["alice"]`, ""},
		{"nor where it says nothing", "/open", "X-User: root", 200, "user=[]", ""},
		{"nor on a route that does not ask", "/free", "X-User: root\nX_User: root", 200, "user=[]", ""},
		{"its challenge is the answer", "/", "X-User: root", 401, "<h1>who are you?</h1>", exchange.ExternalDenied},
		{"its redirect is the answer", "/login", "X-Key: good", 302, "", exchange.ExternalDenied},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := dial(t, url)
			c.say("GET " + tt.path + " HTTP/1.1\nHost: h\n" + tt.header + "\n\n")
			resp := c.answer(t, "GET")
			e := saw.next(t)
			if got := body(t, resp); resp.StatusCode != tt.status || !strings.HasPrefix(got, tt.body) || e.Reason != tt.reason || e.Status != tt.status {
				t.Errorf("%d %q, reason %q, want %d %q, reason %q", resp.StatusCode, got, e.Reason, tt.status, tt.body, tt.reason)
			}
			h := resp.Header
			switch tt.status {
			case 401:
				if h.Get("WWW-Authenticate") != "Key" || h.Get("Content-Type") != "text/html" || !strings.Contains(h.Get("Proxy-Status"), "authz/opa external_denied") {
					t.Errorf("header %v, want the challenge, the type and who refuses", h)
				}
			case 302:
				if h.Get("Location") != "https://login.example.com/" || h.Get("Set-Cookie") != "state=1" {
					t.Errorf("header %v, want the way to log in", h)
				}
			}
		})
	}
}

func TestADecisionPointInShadowOnlySays(t *testing.T) {
	up := service(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "user=%q", r.Header["X-User"]) })
	opa, _ := decides(t)
	p, saw := apply(t, externally(opa, "shadow"), up)
	url := listen(t, p)
	resp, text := get(t, url)
	d, ok := saw.next(t).noted(exchange.ExternalDenied)
	if resp.StatusCode != 200 || text != "user=[]" || !ok || d.Outcome != exchange.Shadow || d.Detail != "the decision point answers 401" {
		t.Errorf("%d %s, noted %+v, want 200, nothing told, and what it would have been", resp.StatusCode, text, d)
	}
}

func TestADecisionPointAnswersGRPCByAStatus(t *testing.T) {
	_, up := serveGRPC(t)
	opa, _ := decides(t)
	p, _ := apply(t, overH2C(externally(opa, "enforce")), up)
	_, err := grpcClient(t, listen(t, p)).UnaryCall(within(t, 10*time.Second), &pb.SimpleRequest{})
	if got := status.Code(err); got != codes.Unauthenticated {
		t.Errorf("%v, want UNAUTHENTICATED", err)
	}
}

func TestWhatADecisionPointSaidSurvivesAReload(t *testing.T) {
	up, _ := counted(t)
	opa, calls := decides(t)
	text := externally(opa, "enforce")
	p, _ := apply(t, text, up)
	url := listen(t, p)
	ask := func(want int64) {
		t.Helper()
		get(t, url+"/open")
		if got := calls.Load(); got != want {
			t.Errorf("asked %d times, want %d", got, want)
		}
	}
	ask(1)
	reload := func(text string) {
		t.Helper()
		if err := p.Apply(parse(t, text, up)); err != nil {
			t.Fatal(err)
		}
	}
	reload("# a moved line\n" + text)
	ask(1)
	reload(strings.Replace(text, "for: 1h", "for: 2s", 1))
	ask(2) // another policy: nothing is known any more
}

func TestADecisionPointThatIsAwayRefuses(t *testing.T) {
	up, calls := counted(t)
	p, saw := apply(t, externally("http://127.0.0.1:1", "enforce"), up)
	resp, text := get(t, listen(t, p))
	d, ok := saw.next(t).noted(exchange.AuthzUnavailable)
	if resp.StatusCode != 503 || resp.Header.Get("Retry-After") != "1" || !ok || d.Outcome != exchange.Refuse || calls.Load() != 0 {
		t.Errorf("%d %v, noted %+v, %d calls upstream, want 503 with Retry-After and none", resp.StatusCode, resp.Header, d, calls.Load())
	}
	if strings.Contains(text, "127.0.0.1") {
		t.Errorf("the client is told %s, want nothing of where it is", text)
	}
}

// Each rule of a policy in shadow says by its name what it would have refused.
func TestAShadowSaysWhichRule(t *testing.T) {
	up, _ := counted(t)
	p, saw := apply(t, with("authz: tried", `authz: {tried: {mode: shadow, rules: [
    {name: no-posts, effect: deny, when: {methods: [POST]}}, {name: no-bots, effect: deny, when: {headers: {User-Agent: "bot*"}}}, {name: rest, effect: allow}]}}`), up)
	url := listen(t, p)
	for rule, request := range map[string]string{
		"no-posts": "POST / HTTP/1.1\nHost: h\nContent-Length: 0\n\n",
		"no-bots":  "GET / HTTP/1.1\nHost: h\nUser-Agent: bot/1\n\n",
		"rest":     "GET / HTTP/1.1\nHost: h\n\n",
	} {
		c := dial(t, url)
		c.say(request)
		resp := c.answer(t, "GET")
		ds := slices.DeleteFunc(saw.next(t).Decisions, func(d exchange.Decision) bool { return d.Kind != exchange.Authz })
		if resp.StatusCode != 200 || len(ds) != 1 || ds[0].Rule != rule || (ds[0].Outcome == exchange.Shadow) != (rule != "rest") {
			t.Errorf("%q: %d, %+v, want 200 and one decision, by rule %s", request, resp.StatusCode, ds, rule)
		}
	}
}
