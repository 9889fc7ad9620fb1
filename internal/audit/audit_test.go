package audit

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sidecar/internal/exchange"
)

// Which decisions on a request are told.
func TestRequests(t *testing.T) {
	tests := []struct {
		name     string
		decision exchange.Decision
		told     bool
	}{
		{"a refused credential", exchange.Decision{Kind: exchange.Authn, Outcome: exchange.Refuse, Reason: exchange.TokenInvalid}, true},
		{"a denied authorization", exchange.Decision{Kind: exchange.Authz, Outcome: exchange.Refuse, Reason: exchange.RuleDenied}, true},
		{"a pass", exchange.Decision{Kind: exchange.Authz, Outcome: exchange.Pass}, false},
		{"what a shadow would have refused", exchange.Decision{Kind: exchange.Authz, Outcome: exchange.Shadow, Reason: exchange.RuleDenied}, false},
		{"a spent rate limit", exchange.Decision{Kind: exchange.RateLimit, Outcome: exchange.Refuse, Reason: exchange.RateLimited}, false},
		{"a malformed request", exchange.Decision{Kind: exchange.Validation, Outcome: exchange.Refuse, Reason: exchange.BodyTooLarge}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, path := begin(t, 10)
			r := &exchange.Record{}
			r.Note(tt.decision)
			a.End(t.Context(), r)
			end(t, a)
			if got := len(lines(t, path)) == 1; got != tt.told {
				t.Errorf("told: %v, want %v", got, tt.told)
			}
		})
	}
}

func TestLineOfARequest(t *testing.T) {
	a, path := begin(t, 10)
	refuse(a, "r-1")
	end(t, a)
	want := []map[string]any{{
		"event": "authz", "result": "refused", "who": "alice", "by": "token", "issuer": "https://id",
		"client": "10.0.0.9", "peer": "127.0.0.1:4711", "requestId": "r-1",
		"method": "POST", "host": "shop", "path": "/orders", "route": "orders", "status": 403.0,
		"policy": "rbac", "rule": "suspended", "reason": "rbac_denied", "line": 12.0, "detail": "status is suspended", "policyHash": "p1",
	}}
	if got := lines(t, path); !reflect.DeepEqual(got, want) {
		t.Errorf("lines %v, want %v", got, want)
	}
}

// Which events are told, and how: for those that somebody asks for there is a
// line when Event returns, the others have happened and wait for nobody.
func TestEvents(t *testing.T) {
	at := netip.MustParseAddr("10.0.0.9")
	ci := exchange.Who{Name: "token ci", Client: at, Peer: netip.AddrPortFrom(at, 4711), RequestID: "r-1"}
	tests := []struct {
		name   string
		event  exchange.Event
		line   map[string]any // nil: none
		waited bool
	}{
		{
			"a breaker is forced",
			exchange.Event{Kind: exchange.CircuitBreaker, Name: "b@app", From: "closed", To: "open", Who: ci, Bad: true},
			map[string]any{"event": "circuitBreaker", "result": "made", "name": "b@app", "from": "closed", "to": "open", "who": "token ci", "client": "10.0.0.9", "peer": "10.0.0.9:4711", "requestId": "r-1"},
			true,
		},
		{"a breaker opens", exchange.Event{Kind: exchange.CircuitBreaker, Name: "b@app", From: "closed", To: "open", Bad: true}, nil, false},
		{
			"an endpoint is drained",
			exchange.Event{Kind: exchange.ByUpstream, Name: "app/10.0.0.1:80", From: "healthy", To: "draining", Who: ci},
			map[string]any{"event": "upstream", "result": "made", "name": "app/10.0.0.1:80", "from": "healthy", "to": "draining", "who": "token ci", "client": "10.0.0.9", "peer": "10.0.0.9:4711", "requestId": "r-1"},
			true,
		},
		{"an endpoint is ejected", exchange.Event{Kind: exchange.ByUpstream, Name: "app/10.0.0.1:80", From: "healthy", To: "ejected", Bad: true}, nil, false},
		{
			"a fault is switched",
			exchange.Event{Kind: exchange.Fault, Name: "chaos", From: "off", To: "on", Who: exchange.Who{Client: at}, Line: 7},
			map[string]any{"event": "fault", "result": "made", "name": "chaos", "from": "off", "to": "on", "client": "10.0.0.9", "line": 7.0},
			true,
		},
		{
			"a fault ends by itself",
			exchange.Event{Kind: exchange.Fault, Name: "chaos", From: "on", To: "off"},
			map[string]any{"event": "fault", "result": "made", "name": "chaos", "from": "on", "to": "off"},
			false,
		},
		{
			"a reload",
			exchange.Event{Kind: exchange.Reload, Name: "p.yaml", From: "a", To: "b", Who: exchange.Who{Name: "SIGHUP"}},
			map[string]any{"event": "reload", "result": "made", "name": "p.yaml", "from": "a", "to": "b", "who": "SIGHUP"},
			true,
		},
		{
			"the first policy",
			exchange.Event{Kind: exchange.Reload, Name: "p.yaml", To: "b", Who: exchange.Who{Name: "start"}},
			map[string]any{"event": "reload", "result": "made", "name": "p.yaml", "to": "b", "who": "start"},
			false,
		},
		{
			"a reload that failed",
			exchange.Event{Kind: exchange.Reload, Name: "p.yaml", Who: ci, Detail: "must be v1", Bad: true},
			map[string]any{"event": "reload", "result": "failed", "name": "p.yaml", "who": "token ci", "client": "10.0.0.9", "peer": "10.0.0.9:4711", "requestId": "r-1", "detail": "must be v1"},
			false,
		},
		{
			"a credential of admin's is refused",
			exchange.Event{Kind: exchange.Admin, Who: exchange.Who{Client: netip.IPv6Loopback()}, Detail: "no such token", Bad: true},
			map[string]any{"event": "admin", "result": "refused", "client": "::1", "detail": "no such token"},
			false,
		},
		{
			"a name that looks like somebody from somewhere stays a name",
			exchange.Event{Kind: exchange.Fault, Name: "chaos", Who: exchange.Who{Name: "certificate a from 10.6.6.6", Client: at}},
			map[string]any{"event": "fault", "result": "made", "name": "chaos", "who": "certificate a from 10.6.6.6", "client": "10.0.0.9"},
			true,
		},
		{"keys are fetched", exchange.Event{Kind: exchange.JWKS, Name: "id"}, nil, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &disk{}
				a, path := startOn(t, d, 10, slog.New(slog.DiscardHandler))
				synctest.Wait()
				if err := a.Event(tt.event); err != nil {
					t.Error(err)
				}
				synctest.Wait()
				d.full.Store(true)
				if err := a.Event(tt.event); errors.Is(err, exchange.ErrUnheard) != tt.waited {
					t.Errorf("on a full disk: %v, want it refused: %v", err, tt.waited)
				}
				d.full.Store(false)
				time.Sleep(again)
				synctest.Wait()
				end(t, a)
				var want []map[string]any
				if tt.line != nil {
					want = append(want, tt.line)
				}
				got := lines(t, path)
				if tt.line != nil && !tt.waited {
					want = append(want, tt.line) // it has happened again
				}
				got = slices.DeleteFunc(got, func(l map[string]any) bool { return l["event"] == "audit" })
				if !reflect.DeepEqual(got, want) {
					t.Errorf("lines %v, want %v", got, want)
				}
			})
		})
	}
}

// Whatever clients choose, a line stays a line, and below the bound that the
// readers of files count on.
func TestLinesAreBounded(t *testing.T) {
	nasty := strings.Repeat("\x00\"\n<\xff", 100_000)
	a, path := begin(t, 10)
	r := denied(nasty)
	r.Method, r.Host, r.Path = nasty, nasty, nasty
	r.Identify(&exchange.Principal{Subject: nasty, Issuer: nasty})
	r.Note(exchange.Decision{Kind: exchange.Authn, Outcome: exchange.Refuse, Detail: nasty})
	a.End(t.Context(), r)
	_ = a.Event(exchange.Event{Kind: exchange.Fault, Name: nasty, Who: exchange.Who{Name: nasty, RequestID: nasty}, Detail: nasty})
	end(t, a)
	if c := sound(t, path); c.Lines != 5 {
		t.Errorf("%d lines, want 5", c.Lines)
	}
	for _, text := range strings.Split(string(read(t, path)), "\n") {
		if len(text) > maxLine/2 {
			t.Errorf("a line has %d bytes", len(text))
		}
	}
}

// An audit that is switched off agrees to everything.
func TestNoAudit(t *testing.T) {
	a, err := New(nil, slog.New(slog.DiscardHandler))
	if a != nil || err != nil {
		t.Fatalf("New(nil) = %v, %v, want nothing", a, err)
	}
	a.Apply("p0")
	a.Reopen()
	if err := errors.Join(a.Event(change()), a.Close(context.Background())); err != nil {
		t.Error(err)
	}
	if a.Dropped() != 0 || a.Doubts() != nil {
		t.Errorf("%d dropped, %q, want nothing", a.Dropped(), a.Doubts())
	}
}

// What everybody pays: a request that is not refused costs nothing.
func TestAPassingRequestCostsNothing(t *testing.T) {
	a, _ := begin(t, 10)
	defer end(t, a)
	r := passing()
	if n := testing.AllocsPerRun(100, func() { a.End(context.Background(), r) }); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

func passing() *exchange.Record {
	r := &exchange.Record{Status: 200}
	for _, kind := range []string{exchange.Validation, exchange.Authn, exchange.Authz, exchange.RateLimit} {
		r.Note(exchange.Decision{Kind: kind, Outcome: exchange.Pass})
	}
	return r
}

func BenchmarkPassingRequest(b *testing.B) {
	a := &Audit{}
	r := passing()
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		a.End(ctx, r)
	}
}
