package upstream

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"sidecar/internal/exchange"
)

// network is a network in memory, for bubbles: who listens where and how it
// answers, and what names lead to.
type network struct {
	mu      sync.Mutex
	answers map[string]string   // by host:port: a status, "down" or "hangs"; else 200
	names   map[string][]string // addresses; nil: no such name
	lookups int
	dials   map[string]int
	hosts   []string // the Host of each request that came
	events  []string
}

// upstream returns an upstream in n that has begun.
func (n *network) upstream(t *testing.T, change func(*Config), urls ...string) *Upstream {
	t.Helper()
	n.answers, n.names, n.dials = map[string]string{}, map[string][]string{}, map[string]int{}
	c := config(change, urls...)
	c.Validate(func(field, problem string) { t.Errorf("%s %s", field, problem) })
	u := newUpstream("orders", c, &transports{config: c, dialTCP: n.dial})
	u.random = func() float64 { return .5 } // no jitter
	u.lookup = n.lookup
	u.tell = func(e exchange.Event) error {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.events = append(n.events, fmt.Sprintf("%s: %s -> %s", e.Name, e.From, e.To))
		return nil
	}
	t.Cleanup(u.Close)
	return u
}

func (n *network) set(answer string, hosts ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, host := range hosts {
		n.answers[host] = answer
	}
}

func (n *network) lead(name string, addrs ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.names[name] = addrs
}

// told returns the events since the last call.
func (n *network) told() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	defer func() { n.events = nil }()
	return strings.Join(n.events, "\n")
}

func (n *network) answer(host string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.answers[host]
}

func (n *network) dialled(host string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dials[host]
}

func (n *network) lookup(_ context.Context, name string) ([]netip.Addr, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lookups++
	texts, ok := n.names[name]
	if !ok {
		return nil, &net.DNSError{Err: "no such host", Name: name}
	}
	var addrs []netip.Addr
	for _, text := range texts {
		addrs = append(addrs, netip.MustParseAddr(text))
	}
	return addrs, nil
}

func (n *network) dial(_ context.Context, _, addr string) (net.Conn, error) {
	n.mu.Lock()
	n.dials[addr]++
	n.mu.Unlock()
	if n.answer(addr) == "down" {
		return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	}
	here, there := net.Pipe()
	go n.serve(addr, there)
	return here, nil
}

func (n *network) serve(addr string, c net.Conn) {
	defer c.Close()
	in := bufio.NewReader(c)
	for {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		n.mu.Lock()
		n.hosts = append(n.hosts, r.Host)
		n.mu.Unlock()
		status := n.answer(addr)
		switch status {
		case "":
			status = "200 OK"
		case "hangs":
			io.Copy(io.Discard, in)
			return
		}
		fmt.Fprintf(c, "HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n", status)
	}
}

// take calls u as a request of its own, and returns who took it and how it ended.
func take(t *testing.T, u *Upstream) (endpoint, end string) {
	t.Helper()
	return attempt(t, u, request("GET", "/", "").Context())
}

// attempt calls u as part of the exchange of ctx.
func attempt(t *testing.T, u *Upstream, ctx context.Context) (endpoint, end string) {
	t.Helper()
	a := &exchange.Attempt{}
	r := request("GET", "/", "").WithContext(exchange.WithAttempt(ctx, a))
	resp, err := u.RoundTrip(r)
	if err != nil {
		var f *exchange.Failure
		if errors.As(err, &f) {
			return a.Endpoint, string(f.Kind)
		}
		return a.Endpoint, err.Error()
	}
	resp.Body.Close()
	return a.Endpoint, resp.Status
}

// callers returns who takes the next calls, of so many, and how often:
// "10.0.0.1:80 x2, 10.0.0.2:80 x2".
func callers(t *testing.T, u *Upstream, calls int) string {
	t.Helper()
	counts := map[string]int{}
	for range calls {
		endpoint, _ := take(t, u)
		counts[endpoint]++
	}
	var all []string
	for endpoint, n := range counts {
		all = append(all, fmt.Sprintf("%s x%d", endpoint, n))
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

func wantText(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s:\n%s\nwant:\n%s", what, got, want)
	}
}

// states returns the condition of each endpoint: "10.0.0.1:80 healthy, ...".
func states(u *Upstream) string {
	var all []string
	for _, e := range u.Status().Endpoints {
		all = append(all, e.Endpoint+" "+e.State)
	}
	return strings.Join(all, ", ")
}

// three are the URLs of endpoints without a name.
var three = []string{"http://10.0.0.1:80", "http://10.0.0.2:80", "http://10.0.0.3:80"}

// pass sleeps in a bubble, and lets what that woke up come to rest.
func pass(d time.Duration) {
	time.Sleep(d + time.Millisecond)
	synctest.Wait()
}
