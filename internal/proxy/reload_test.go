package proxy

import (
	"bufio"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"sidecar/internal/exchange"
	"sidecar/internal/faults"
	"sidecar/internal/policy"
)

// reloads is a policy with state of every kind; its breaker opens at the first
// failure.
const reloads = `
version: v1
upstreams: {app: {endpoints: [{url: "${UPSTREAM}"}]}}
policies:
  circuitBreaker: {quick: {consecutiveFailures: 1}}
  rateLimit: {one: {rate: 1/h}}
  fault: {chaos: {abort: {status: 418}}}
  retry: {once: {maxAttempts: 1}}
routes:
  - {name: limited, match: {path: /limited}, upstream: app, use: {rateLimit: one}}
  - {name: all, upstream: app, use: {circuitBreaker: quick, retry: once, fault: chaos}}
`

// failing is an upstream that fails under /fail.
func failing(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/fail" {
		w.WriteHeader(http.StatusInternalServerError)
	}
}

func TestStateOfUnchangedPoliciesSurvivesAReload(t *testing.T) {
	up := service(t, failing)
	moved := "\n# a comment\n\n" + reloads
	tests := []struct {
		name, to       string
		breaker, limit int // status after the reload: 503 and 429 is kept
	}{
		{"the same file", reloads, 503, 429},
		{"lines that moved", moved, 503, 429},
		{"another policy changed", strings.Replace(reloads, "abort: {status: 418}", "abort: {status: 500}", 1), 503, 429},
		{"the breaker changed", strings.Replace(reloads, "consecutiveFailures: 1", "consecutiveFailures: 2", 1), 200, 429},
		{"what the breaker answers with", strings.Replace(reloads, "consecutiveFailures: 1", "consecutiveFailures: 1, fallback: {body: sorry}", 1), 503, 429},
		{"the limit changed", strings.Replace(reloads, "rate: 1/h", "rate: 2/h", 1), 503, 200},
		{"the default said aloud", strings.Replace(reloads, "consecutiveFailures: 1", "consecutiveFailures: 1, window: 10s", 1), 503, 429},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, _ := apply(t, reloads, up)
			url := listen(t, p)
			get(t, url+"/limited") // spends the limit
			get(t, url+"/fail")    // opens the breaker
			if err := p.Apply(parse(t, tt.to, up)); err != nil {
				t.Fatal(err)
			}
			if resp, _ := get(t, url+"/well"); resp.StatusCode != tt.breaker {
				t.Errorf("behind the breaker: %d, want %d", resp.StatusCode, tt.breaker)
			}
			if resp, _ := get(t, url+"/limited"); resp.StatusCode != tt.limit {
				t.Errorf("behind the limit: %d, want %d", resp.StatusCode, tt.limit)
			}
		})
	}
}

func TestAPolicyThatCannotBeAppliedChangesNothing(t *testing.T) {
	up := service(t, failing)
	p, _ := apply(t, minimal, up)
	before := p.Snapshot()
	bad := parse(t, with("authn: users", "authn: {users: {issuers: [{issuer: me, publicKeyFile: testdata/secret}]}}"), up)
	err := p.Apply(bad)
	var problems policy.Problems
	if !errors.As(err, &problems) || !strings.HasPrefix(err.Error(), "test.yaml:4:") ||
		!strings.Contains(err.Error(), "policies.authn.users.issuers[0].publicKeyFile: ") {
		t.Errorf("error = %v, want a problem with file, line, column and path", err)
	}
	if p.Snapshot() != before {
		t.Error("another policy holds now")
	}
	if resp, _ := get(t, listen(t, p)); resp.StatusCode != 200 {
		t.Errorf("status %d, want 200", resp.StatusCode)
	}
}

func TestAReloadDoesNotTouchWhatIsInFlight(t *testing.T) {
	next := make(chan struct{})
	up := service(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			echoUpgrade("websocket")(w, r)
			return
		}
		for i := range 3 {
			fmt.Fprintf(w, "%d\n", i)
			_ = http.NewResponseController(w).Flush()
			<-next
		}
	})
	p, _ := apply(t, minimal, up)
	url := listen(t, p)
	socket, _ := upgrade(t, url, "websocket")
	defer socket.Close()
	resp, err := client(t).Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	stream := bufio.NewReader(resp.Body)
	for i := range 3 {
		// Every other reload is to another upstream altogether.
		to := up
		if i%2 == 0 {
			to = dead(t)
		}
		if err := p.Apply(parse(t, minimal, to)); err != nil {
			t.Fatal(err)
		}
		if line, err := stream.ReadString('\n'); line != fmt.Sprintln(i) {
			t.Fatalf("after reload %d the stream says %q, %v", i, line, err)
		}
		fmt.Fprintln(socket, "hello")
		if line, err := socket.r.ReadString('\n'); line != "hello\n" {
			t.Fatalf("after reload %d the socket says %q, %v", i, line, err)
		}
		next <- struct{}{}
	}
	if got, _ := get(t, url); got.StatusCode != 502 {
		t.Errorf("a new request: %d, want 502: the last policy names a dead upstream", got.StatusCode)
	}
}

func TestAFaultThatIsSwitchedOnStaysOn(t *testing.T) {
	up := service(t, failing)
	sw := faults.NewSwitch(newSeen().Event)
	p, _ := apply(t, reloads, up, func(o *Options) { o.Faults = sw })
	url := listen(t, p)
	if _, err := sw.On("chaos", faults.Toggle{}, exchange.Who{Name: "me"}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		resp, _ := get(t, url+"/well")
		if resp.StatusCode != 418 || resp.Header.Get("X-Sidecar-Fault") != "chaos" {
			t.Errorf("status %d, X-Sidecar-Fault %q, want 418 by chaos", resp.StatusCode, resp.Header.Get("X-Sidecar-Fault"))
		}
		if err := p.Apply(parse(t, reloads, up)); err != nil {
			t.Fatal(err)
		}
	}
	gone := strings.NewReplacer("  fault: {chaos: {abort: {status: 418}}}\n", "", ", fault: chaos", "").Replace(reloads)
	if err := p.Apply(parse(t, gone, up)); err != nil {
		t.Fatal(err)
	}
	if resp, _ := get(t, url+"/well"); resp.StatusCode != 200 {
		t.Errorf("status %d, want 200: the fault has left the policy", resp.StatusCode)
	}
}

func TestAReloadTellsWhatItForgot(t *testing.T) {
	tests := []struct {
		name         string
		rate, breaks string
		want         string
	}{
		{"nothing", "rate: 1/h", "consecutiveFailures: 1", ""},
		{"what changed", "rate: 2/h", "consecutiveFailures: 2", "circuitBreaker/quick@app rateLimit/one"},
		{"what is disabled", "mode: disabled, rate: 1/h", "mode: disabled, consecutiveFailures: 1", "circuitBreaker/quick@app rateLimit/one"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, _ := apply(t, reloads, "http://127.0.0.1:1")
			before := p.Snapshot()
			changed := strings.NewReplacer("rate: 1/h", tt.rate, "consecutiveFailures: 1", tt.breaks).Replace(reloads)
			if err := p.Apply(parse(t, changed, "http://127.0.0.1:1")); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(before.Reset(p.Snapshot()), " "); got != tt.want {
				t.Errorf("reset = %q, want %q", got, tt.want)
			}
		})
	}
}
