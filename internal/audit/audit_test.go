package audit

import (
	"context"
	"errors"
	"log/slog"
	"reflect"
	"strings"
	"testing"

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

// Which events are told, and how: those that come through Change must be heard
// before, the others have happened.
func TestEvents(t *testing.T) {
	const who = "token ci from 10.0.0.9"
	tests := []struct {
		name           string
		event          exchange.Event
		change, event2 map[string]any
	}{
		{
			"a breaker is forced",
			exchange.Event{Kind: exchange.CircuitBreaker, Name: "b@app", From: "closed", To: "open", Who: who},
			map[string]any{"event": "circuitBreaker", "result": "made", "name": "b@app", "from": "closed", "to": "open", "who": "token ci", "client": "10.0.0.9"},
			nil,
		},
		{"a breaker opens", exchange.Event{Kind: exchange.CircuitBreaker, Name: "b@app", From: "closed", To: "open", Bad: true}, nil, nil},
		{
			"a fault is switched",
			exchange.Event{Kind: exchange.Fault, Name: "chaos", From: "off", To: "on", Who: "10.0.0.9", Line: 7},
			map[string]any{"event": "fault", "result": "made", "name": "chaos", "from": "off", "to": "on", "client": "10.0.0.9", "line": 7.0},
			nil,
		},
		{
			"a fault ends by itself",
			exchange.Event{Kind: exchange.Fault, Name: "chaos", From: "on", To: "off"},
			nil,
			map[string]any{"event": "fault", "result": "made", "name": "chaos", "from": "on", "to": "off"},
		},
		{
			"a reload",
			exchange.Event{Kind: exchange.Reload, Name: "p.yaml", From: "a", To: "b", Who: "SIGHUP"},
			map[string]any{"event": "reload", "result": "made", "name": "p.yaml", "from": "a", "to": "b", "who": "SIGHUP"},
			map[string]any{"event": "reload", "result": "made", "name": "p.yaml", "from": "a", "to": "b", "who": "SIGHUP"},
		},
		{
			"a credential of admin's is refused",
			exchange.Event{Kind: exchange.Admin, Who: "::1", Detail: "no such token", Bad: true},
			nil,
			map[string]any{"event": "admin", "result": "refused", "client": "::1", "detail": "no such token"},
		},
		{"keys are fetched", exchange.Event{Kind: exchange.JWKS, Name: "id"}, nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, path := begin(t, 10)
			want := []map[string]any{}
			for _, l := range []map[string]any{tt.change, tt.event2} {
				if l != nil {
					l["policyHash"] = "p0"
					want = append(want, l)
				}
			}
			if err := a.Change(tt.event); err != nil {
				t.Error(err)
			}
			if err := a.Event(tt.event); err != nil {
				t.Error(err)
			}
			end(t, a)
			if got := append([]map[string]any{}, lines(t, path)...); !reflect.DeepEqual(got, want) {
				t.Errorf("lines %v, want %v", got, want)
			}
		})
	}
}

func TestABadReloadFailed(t *testing.T) {
	if got := ofEvent(exchange.Event{Kind: exchange.Reload, Bad: true}, "").Result; got != "failed" {
		t.Errorf("result %q, want failed", got)
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
	_ = a.Change(exchange.Event{Kind: exchange.Fault, Name: nasty, Who: nasty, Detail: nasty})
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
	if err := errors.Join(a.Change(exchange.Event{Kind: exchange.Reload}), a.Event(exchange.Event{Kind: exchange.Reload}), a.Close(context.Background())); err != nil {
		t.Error(err)
	}
	if a.Dropped() != 0 || a.Trouble() != "" {
		t.Errorf("%d dropped, %q, want nothing", a.Dropped(), a.Trouble())
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
