package admin

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sidecar/internal/exchange"
)

// ended tells d of an exchange that has ended.
func ended(d *Decisions, id string, said ...exchange.Decision) {
	r := &exchange.Record{ID: id, Start: time.Now(), Method: "GET", Route: "all"}
	for _, s := range said {
		r.Note(s)
	}
	r.Seal()
	d.End(d.Begin(context.Background(), r), r)
}

var (
	passed  = exchange.Decision{Kind: "authz", Policy: "rbac", Outcome: exchange.Pass, Line: 3}
	refused = exchange.Decision{
		Kind: "rateLimit", Policy: "fair", Outcome: exchange.Refuse, Reason: exchange.RateLimited, Detail: "5/s is spent", Line: 7,
	}
	denied = exchange.Decision{
		Kind: "authz", Policy: "rbac", Outcome: exchange.Refuse, Reason: exchange.RuleDenied, Rule: "suspended", Line: 12,
	}
	retried = exchange.Decision{Kind: "retry", Policy: "safe", Outcome: exchange.Act, Reason: "503", Line: 9}
)

func TestDecisions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		admin := h.Handler()
		ended(h.Decisions, "one", passed, retried, passed, refused)
		then := time.Now()
		time.Sleep(time.Second)
		ended(h.Decisions, "two", passed)
		ended(h.Decisions, "three", denied)
		now := time.Now()

		told := func(at time.Time, id string, more map[string]any) map[string]any {
			d := map[string]any{"time": at.UTC().Format(time.RFC3339Nano), "requestId": id, "route": "all", "method": "GET"}
			for k, v := range more {
				d[k] = v
			}
			return d
		}
		limit := map[string]any{
			"kind": "rateLimit", "policy": "fair", "outcome": "refuse", "reason": "rate_limited", "detail": "5/s is spent", "line": 7.0,
		}
		retry := map[string]any{"kind": "retry", "policy": "safe", "outcome": "act", "reason": "503", "line": 9.0}
		rule := map[string]any{
			"kind": "authz", "policy": "rbac", "rule": "suspended", "outcome": "refuse", "reason": string(exchange.RuleDenied), "line": 12.0,
		}
		all := []any{told(now, "three", rule), told(then, "one", limit), told(then, "one", retry)}
		tests := []struct {
			name, query string
			want        []any
		}{
			{"the newest first, and no pass", "", all},
			{"of one request", "?request=one", all[1:]},
			{"of a request that passed", "?request=two", []any{}},
			{"a few", "?limit=2", all[:2]},
			{"a few of one request", "?request=one&limit=1", all[1:2]},
			{"all that are kept", "?limit=500", all},
		}
		for _, tt := range tests {
			if a := ask(t, admin, "GET /decisions"+tt.query, ""); a.status != 200 || !reflect.DeepEqual(a.doc["decisions"], tt.want) {
				t.Errorf("%s: %d %s, want %v", tt.name, a.status, a.body, tt.want)
			}
		}
	})
}

func TestBadQueries(t *testing.T) {
	admin := newHouse(t).Handler()
	for query, says := range map[string]string{
		"limit=0":        `limit: must be 1 to 500, got "0"`,
		"limit=501":      `limit: must be 1 to 500, got "501"`,
		"limit=":         `limit: must be 1 to 500, got ""`,
		"limit=all":      `limit: must be 1 to 500, got "all"`,
		"requestId=abc":  `the query takes request and limit, got "requestId"`,
		"request=a&to=b": `the query takes request and limit, got "to"`,
	} {
		if a := ask(t, admin, "GET /decisions?"+query, ""); a.status != 400 || a.detail() != says {
			t.Errorf("%s: %d %q, want 400 %q", query, a.status, a.detail(), says)
		}
	}
}

func TestDecisionsAreBounded(t *testing.T) {
	var d Decisions
	for i := range 2*kept + 3 {
		s := refused
		s.Line = i
		ended(&d, fmt.Sprint("r", i), s)
	}
	last := d.last("", kept)
	if len(last) != kept || last[0].Line != 2*kept+2 || last[kept-1].Line != kept+3 {
		t.Errorf("%d decisions are kept, from line %d to %d, want the last %d", len(last), last[0].Line, last[len(last)-1].Line, kept)
	}
	if got := d.last("r0", kept); len(got) != 0 {
		t.Errorf("the first one is still there: %v", got)
	}

	// One exchange may say more than there is room for, and at any length.
	long := refused
	long.Detail = strings.Repeat("é", maxDetail)
	said := make([]exchange.Decision, kept+1)
	for i := range said {
		said[i] = long
	}
	ended(&d, "many", said...)
	for _, one := range d.last("", kept) {
		if one.RequestID != "many" || len(one.Detail) > maxDetail+3 || !strings.HasSuffix(one.Detail, "é...") {
			t.Fatalf("%s of %d bytes is kept, want no more than %d", one.RequestID, len(one.Detail), maxDetail)
		}
	}
}

func TestAPassCostsDecisionsNothing(t *testing.T) {
	var d Decisions
	r := &exchange.Record{ID: "one"}
	r.Note(passed)
	r.Note(passed)
	if n := testing.AllocsPerRun(100, func() { d.End(context.Background(), r) }); n != 0 {
		t.Errorf("an exchange that passes allocates %v times, want 0", n)
	}
	if d.n != 0 {
		t.Errorf("%d passes are remembered, want none", d.n)
	}
}

func TestDecisionsUnderConcurrentUse(t *testing.T) {
	var d Decisions
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 200 {
				ended(&d, fmt.Sprint("r", i), retried, refused)
			}
		})
		all.Go(func() {
			for range 50 {
				d.last("r1", 10)
			}
		})
	}
	all.Wait()
	if got := len(d.last("", kept)); got != kept {
		t.Errorf("%d decisions are kept, want %d", got, kept)
	}
}

// What the proxy decides is found by the id that its answer carries.
func TestDecisionsOfTraffic(t *testing.T) {
	h := newShop(t)
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "/private/x?token="+secret, nil)
	r.Header.Set("Authorization", "Bearer "+secret)
	h.Proxy.ServeHTTP(w, r)
	a := ask(t, h.Handler(), "GET /decisions?request="+w.Header().Get("X-Request-Id"), "")
	list, _ := a.doc["decisions"].([]any)
	if len(list) != 1 {
		t.Fatalf("GET /decisions: %s, want one decision", a.body)
	}
	got := list[0].(map[string]any)
	for key, want := range map[string]any{"route": "private", "kind": "authn", "policy": "users", "outcome": "refuse"} {
		if got[key] != want {
			t.Errorf("%s = %v, want %v", key, got[key], want)
		}
	}
}
