package authz

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"sidecar/internal/exchange"
)

var people = map[string]*exchange.Principal{
	"nobody":  nil,
	"clerk":   {Subject: "c1", Roles: []string{"reader", "writer"}, Claims: map[string]any{"tenant": "acme", "level": json.Number("3"), "groups": []any{"eu", json.Number("7")}}},
	"guest":   {Subject: "g1", Roles: []string{"reader"}},
	"batch":   {Subject: "spiffe://cluster.local/ns/jobs/sa/nightly"},
	"banned":  {Subject: "b1", Roles: []string{"reader"}, Claims: map[string]any{"user": map[string]any{"status": "suspended"}}, Names: map[string]string{"status": "user.status"}},
	"unnamed": {Roles: []string{"other"}},
}

// orders is the policy of the tables below.
func orders() Config {
	return Config{Line: 10, Default: Deny, Rules: []RuleConfig{
		{Line: 11, Name: "readers", Effect: Allow, When: When{Roles: []string{"reader"}, Methods: []string{"GET", "HEAD"}, Paths: []string{"/v1/**"}}},
		{Line: 12, Name: "writers", Effect: Allow, When: When{Roles: []string{"writer", "admin"}, Methods: []string{"POST"}, Paths: []string{"/v1/orders", "/v1/orders/*"}}},
		{Line: 13, Name: "suspended", Effect: Deny, When: When{Claims: map[string]exchange.OneOrMore{"status": {"suspended"}}}},
		{Line: 14, Effect: Deny, When: When{Paths: []string{"/v1/admin/**"}}},
		{Line: 15, Effect: Allow, When: When{Principals: []string{"spiffe://cluster.local/ns/jobs/sa/*"}}},
		{Line: 16, Effect: Allow, When: When{Claims: map[string]exchange.OneOrMore{"tenant": {"acme"}, "level": {"3"}, "groups": {"7"}}, Paths: []string{"/acme/*.pdf"}}},
		{Line: 17, Name: "open", Effect: Allow, When: When{Paths: []string{"/health"}}},
	}}
}

func TestCheck(t *testing.T) {
	a := New("rbac", orders(), nil)
	tests := []struct {
		line, who string
		want      exchange.Reason // empty: allowed
		by        int             // the line that decided
		note      string
	}{
		{"GET /v1/orders", "guest", "", 0, ""},
		{"GET /v1", "guest", "", 0, ""},
		{"POST /v1/orders/42", "clerk", "", 0, ""},
		{"DELETE /v1/orders/42", "batch", "", 0, ""},
		{"GET /acme/bill.pdf", "clerk", "", 0, ""},
		{"GET /health", "nobody", "", 0, ""},
		{"GET /v1/a%20b", "guest", "", 0, ""},
		{"GET /v1/a;v=2", "guest", "", 0, ""},
		{"GET /v1/.hidden", "guest", "", 0, ""},

		{"GET /v1/orders", "nobody", exchange.NoAllowRule, 10, "no rule allows"},
		{"GET /v1/orders", "unnamed", exchange.NoAllowRule, 10, "no rule allows"},
		{"POST /v1/orders", "guest", exchange.NoAllowRule, 10, "no rule allows"},
		{"DELETE /v1/orders/42", "clerk", exchange.NoAllowRule, 10, "no rule allows"},
		{"POST /v1/orders/42/items", "clerk", exchange.NoAllowRule, 10, "no rule allows"},
		{"GET /acme/bill.pdf", "guest", exchange.NoAllowRule, 10, "no rule allows"},
		{"GET /v1/orders", "banned", exchange.RuleDenied, 13, `rule "suspended" denies`},
		{"GET /v1/admin/users", "clerk", exchange.RuleDenied, 14, `rule "rule-4" denies`},
		{"GET /v1/admin/users", "batch", exchange.RuleDenied, 14, `rule "rule-4" denies`},

		// Both readings of a path must be allowed.
		{"GET /v1/orders%2F42", "guest", "", 0, ""},
		{"POST /v1/orders%2F42", "clerk", exchange.NoAllowRule, 10, `no rule allows, for the path read as "/v1/orders%2F42"`},
		{"GET /v1%2Forders", "guest", exchange.NoAllowRule, 10, `no rule allows, for the path read as "/v1%2Forders"`},
		{"GET /v1/admin%2Fusers", "guest", exchange.RuleDenied, 14, `rule "rule-4" denies`},
		{"GET /v1/%61dmin/users", "guest", exchange.RuleDenied, 14, `rule "rule-4" denies`},
		{"GET /v1/orders;/../admin/users", "guest", exchange.RuleDenied, 14, `rule "rule-4" denies, for the path read as "/v1/admin/users"`},
		{"GET /v1/x%2f..%5Cadmin/users", "guest", exchange.RuleDenied, 14, `rule "rule-4" denies, for the path read as "/v1/admin/users"`},
		{"GET /v1/admin;a=b/users", "guest", exchange.RuleDenied, 14, `rule "rule-4" denies, for the path read as "/v1/admin/users"`},
		{"GET /v1//admin/./users", "guest", exchange.RuleDenied, 14, `rule "rule-4" denies, for the path read as "/v1/admin/users"`},
		{"GET /v1/admin%3B/users", "guest", exchange.RuleDenied, 14, `rule "rule-4" denies, for the path read as "/v1/admin/users"`},
		{"GET /he%61lth", "nobody", exchange.NoAllowRule, 10, `no rule allows, for the path read as "/he%61lth"`},
		{"GET /health%00/x", "nobody", exchange.NoAllowRule, 10, "no rule allows"},
	}
	for _, tt := range tests {
		t.Run(tt.line+" by "+tt.who, func(t *testing.T) {
			r, record := request("/")
			method, target, _ := strings.Cut(tt.line, " ")
			r.Method, r.URL = method, must(url.ParseRequestURI(target))
			record.Identify(people[tt.who])
			err := a.Check(r)
			if tt.want == "" {
				if err != nil {
					t.Errorf("Check() = %v, want nil", err)
				}
				return
			}
			f := refusal(t, err)
			if f.Reason != tt.want || f.Line != tt.by || f.Kind != exchange.Authz || f.Policy != "rbac" {
				t.Errorf("Check() = %+v, want %s of line %d", f, tt.want, tt.by)
			}
			if d := f.Decision(); d.Detail != tt.note || f.Detail != "" {
				t.Errorf("the record hears %q and the client %q, want %q and nothing", d.Detail, f.Detail, tt.note)
			}
			challenge := ""
			if tt.who != "nobody" {
				challenge = `Bearer realm="sidecar", error="insufficient_scope"`
			}
			if got := f.Header.Get("WWW-Authenticate"); got != challenge {
				t.Errorf("WWW-Authenticate = %q, want %q", got, challenge)
			}
		})
	}
}

func TestDefaults(t *testing.T) {
	deny := RuleConfig{Effect: Deny, When: When{Methods: []string{"POST"}}}
	allow := RuleConfig{Effect: Allow} // always matches
	tests := []struct {
		name   string
		c      Config
		method string
		want   bool
	}{
		{"default allow, no rules", Config{Default: Allow}, "GET", true},
		{"default deny, no rules", Config{Default: Deny}, "GET", false},
		{"a deny rule beats the default", Config{Default: Allow, Rules: []RuleConfig{deny}}, "POST", false},
		{"a deny rule beats an allow rule before it", Config{Default: Deny, Rules: []RuleConfig{allow, deny}}, "POST", false},
		{"a rule without conditions always matches", Config{Default: Deny, Rules: []RuleConfig{allow, deny}}, "GET", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, _ := request("/")
			r.Method = tt.method
			if err := New("rbac", tt.c, nil).Check(r); (err == nil) != tt.want {
				t.Errorf("Check(%s) = %v, want allowed: %v", tt.method, err, tt.want)
			}
		})
	}
}

func TestAuthzDoesNotAllocate(t *testing.T) {
	a := New("rbac", orders(), nil)
	for _, path := range []string{"/v1/orders", "/acme/bill.pdf", "/v1/x%2Fy"} {
		r, record := request(path)
		record.Identify(people["clerk"])
		if err := a.Check(r); err != nil {
			t.Fatal(err)
		}
		if got := testing.AllocsPerRun(100, func() { _ = a.Check(r) }); got != 0 {
			t.Errorf("Check(%s) allocates %v times, want 0", path, got)
		}
	}
}

func BenchmarkAuthz(b *testing.B) {
	for _, n := range []int{10, 1000} {
		b.Run(fmt.Sprintf("%drules", n), func(b *testing.B) {
			c := Config{Default: Deny}
			for i := range n {
				c.Rules = append(c.Rules, RuleConfig{Effect: Allow, When: When{
					Roles: []string{"reader"}, Methods: []string{"GET"}, Paths: []string{fmt.Sprintf("/v1/things-%d/*/parts/**", i)},
				}})
			}
			r, record := request(fmt.Sprintf("/v1/things-%d/7/parts/a/b", n-1)) // the last rule
			record.Identify(people["clerk"])
			record.Seal() // or it would grow with every round
			a := New("rbac", c, nil)
			b.ReportAllocs()
			for b.Loop() {
				if err := a.Check(r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
