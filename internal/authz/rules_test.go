package authz

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sidecar/internal/exchange"
)

// said is a request, and who sends it.
type said struct {
	line   string // "METHOD target"
	host   string
	from   string
	header http.Header
	length int64 // -1: chunked
	who    *exchange.Principal
}

func (s said) request() *http.Request {
	method, target, _ := strings.Cut(s.line, " ")
	r, rec := request("/")
	r.Method, r.URL, r.Host, r.ContentLength = method, must(url.ParseRequestURI(target)), s.host, s.length
	for name, values := range s.header {
		r.Header[name] = values
	}
	if s.from != "" {
		rec.Client = netip.MustParseAddr(s.from)
	}
	rec.Identify(s.who)
	return r
}

// Each condition by itself, under a rule that allows and under one that denies:
// what matches is allowed by the one and denied by the other.
func TestConditions(t *testing.T) {
	networks := func(texts ...string) (all []exchange.Network) {
		for _, text := range texts {
			var n exchange.Network
			if err := n.UnmarshalText([]byte(text)); err != nil {
				panic(err)
			}
			all = append(all, n)
		}
		return all
	}
	claims := func(c map[string]any) said {
		return said{who: &exchange.Principal{Subject: "u1", Claims: c, Names: map[string]string{"team": "org.team"}}}
	}
	values := func(name string, values ...string) map[string]exchange.OneOrMore {
		return map[string]exchange.OneOrMore{name: values}
	}
	header := func(pairs ...string) said {
		h := http.Header{}
		for i := 0; i < len(pairs); i += 2 {
			h[pairs[i]] = append(h[pairs[i]], pairs[i+1])
		}
		return said{header: h}
	}
	yes, no := true, false
	tests := []struct {
		name    string
		when    When
		matches []said
		misses  []said
	}{
		{
			"a scope, as text or list",
			When{Scopes: []string{"orders.export"}},
			[]said{
				claims(map[string]any{"scope": "orders.read orders.export"}),
				claims(map[string]any{"scope": []any{"orders.export"}}),
				claims(map[string]any{"scp": "orders.export"}),
				claims(map[string]any{"scp": []any{"orders.read", "orders.export"}}),
			},
			[]said{
				{},
				claims(nil),
				claims(map[string]any{"scope": "orders.exports orders"}),
				claims(map[string]any{"scope": "Orders.Export"}),
				claims(map[string]any{"scope": []any{"orders.read orders.export"}}),
				claims(map[string]any{"scope": json.Number("7")}),
			},
		},
		{
			"all scopes",
			When{Scopes: []string{"a", "b"}},
			[]said{claims(map[string]any{"scope": "b a c"}), claims(map[string]any{"scope": "a", "scp": []any{"b"}})},
			[]said{claims(map[string]any{"scope": "a"}), claims(map[string]any{"scope": "ab"})},
		},
		{
			"a claim of several values",
			When{Claims: values("tenant", "acme", "eu-*")},
			[]said{
				claims(map[string]any{"tenant": "acme"}),
				claims(map[string]any{"tenant": "eu-west"}),
				claims(map[string]any{"tenant": []any{"other", "eu-"}}),
			},
			[]said{{}, claims(nil), claims(map[string]any{"tenant": "acme2"}), claims(map[string]any{"tenant": []any{}}), claims(map[string]any{"tenant": map[string]any{"acme": true}})},
		},
		{
			"any value of a claim",
			When{Claims: values("tenant", "*")},
			[]said{claims(map[string]any{"tenant": ""}), claims(map[string]any{"tenant": true}), claims(map[string]any{"tenant": json.Number("3")})},
			[]said{{}, claims(nil), claims(map[string]any{"tenant": nil})},
		},
		{
			"a nested claim, by path",
			When{Claims: values("org.team", "blue")},
			[]said{claims(map[string]any{"org": map[string]any{"team": "blue"}}), claims(map[string]any{"org.team": "blue"})},
			[]said{claims(map[string]any{"team": "blue"}), claims(map[string]any{"org": "blue"})},
		},
		{
			"a nested claim, by a name of our own",
			When{Claims: values("team", "blue")},
			[]said{claims(map[string]any{"org": map[string]any{"team": "blue"}})},
			[]said{claims(map[string]any{"team": "blue"})},
		},
		{
			"a principal",
			When{Principals: []string{"job:*", "u1"}},
			[]said{claims(nil), {who: &exchange.Principal{Subject: "job:nightly"}}},
			[]said{{}, {who: &exchange.Principal{Subject: "u10"}}, {who: &exchange.Principal{}}},
		},
		{
			"a role",
			When{Roles: []string{"reader"}},
			[]said{{who: &exchange.Principal{Roles: []string{"writer", "reader"}}}},
			[]said{{}, {who: &exchange.Principal{Roles: []string{"read", "Reader"}}}},
		},
		{
			"a method",
			When{Methods: []string{"POST", "PUT"}},
			[]said{{line: "PUT /"}},
			[]said{{line: "GET /"}, {line: "post /"}, {line: "POSTS /"}},
		},
		{
			"a path",
			When{Paths: []string{"/v1/orders/*", "/open/**"}},
			[]said{{line: "GET /v1/orders/7"}, {line: "GET /v1/orders/"}, {line: "GET /open"}, {line: "GET /open/a/b"}},
			[]said{{line: "GET /v1/orders"}, {line: "GET /v1/orders/7/x"}, {line: "GET /V1/orders/7"}, {line: "GET /opened"}},
		},
		{
			"a host, written in another way",
			When{Hosts: []string{"admin.example.com.", "0:0::1"}},
			[]said{{host: "admin.example.com"}, {host: "admin.example.com."}, {host: "[::1]"}, {host: "[0::1]:80"}},
			[]said{{host: "example.com"}, {host: "[::2]"}},
		},
		{
			"a host",
			When{Hosts: []string{"api.example.com", "*.int.example.com", "10.0.0.1", "::1"}},
			[]said{
				{host: "api.example.com"},
				{host: "API.Example.com:8443"},
				{host: "api.example.com."},
				{host: "a.int.example.com"},
				{host: "a.b.INT.example.com:80"},
				{host: "10.0.0.1:80"},
				{host: "[::1]:80"},
			},
			[]said{{host: ""}, {host: "example.com"}, {host: "int.example.com"}, {host: "xapi.example.com"}, {host: "api.example.com.evil.com"}, {host: "xint.example.com"}},
		},
		{
			"a header field",
			When{Headers: values("x-env", "prod", "eu-*")},
			[]said{header("X-Env", "prod"), header("X-Env", "eu-1"), header("X-Env", "prod", "X-Env", "eu-1"), header("X_env", "prod")},
			[]said{{}, header("X-Env", "Prod"), header("X-Env", ""), header("X-Env", "prods, dev"), header("X-Other", "prod")},
		},
		{
			"any value of a header field",
			When{Headers: values("X-Env", "*")},
			[]said{header("X-Env", ""), header("X-Env", "a", "X-Env", "b")},
			[]said{{}, {header: http.Header{"X-Env": nil}}},
		},
		{
			"the header field Host",
			When{Headers: values("Host", "h:*")},
			[]said{{host: "h:80"}},
			[]said{{host: "h"}},
		},
		{
			"a source address",
			When{SourceAddresses: networks("10.0.0.0/8", "192.0.2.7", "2001:db8::/32")},
			[]said{{from: "10.1.2.3"}, {from: "192.0.2.7"}, {from: "2001:db8::9"}},
			[]said{{}, {from: "11.0.0.1"}, {from: "192.0.2.8"}, {from: "2001:db9::9"}},
		},
		{"a body", When{Body: &yes}, []said{{length: 1}, {length: -1}}, []said{{}}},
		{"no body", When{Body: &no}, []said{{}}, []said{{length: 1}, {length: -1}}},
		{
			"every key",
			When{Scopes: []string{"a"}, SourceAddresses: networks("10.0.0.0/8"), Hosts: []string{"h"}, Methods: []string{"GET"}},
			[]said{{host: "h", from: "10.0.0.1", who: &exchange.Principal{Claims: map[string]any{"scope": "a"}}}},
			[]said{
				{host: "h", from: "10.0.0.1"},
				{host: "i", from: "10.0.0.1", who: &exchange.Principal{Claims: map[string]any{"scope": "a"}}},
				{host: "h", from: "9.0.0.1", who: &exchange.Principal{Claims: map[string]any{"scope": "a"}}},
				{line: "PUT /", host: "h", from: "10.0.0.1", who: &exchange.Principal{Claims: map[string]any{"scope": "a"}}},
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			allow := New("p", Config{Default: Deny, Rules: []RuleConfig{{Effect: Allow, When: tt.when}}}, nil)
			deny := New("p", Config{Default: Allow, Rules: []RuleConfig{{Effect: Deny, When: tt.when}}}, nil)
			check := func(s said, matches bool) {
				t.Helper()
				if s.line == "" {
					s.line = "GET /"
				}
				if err := allow.Check(s.request()); (err == nil) != matches {
					t.Errorf("the allow rule, asked for %+v: %v, want allowed: %t", s, err, matches)
				}
				if err := deny.Check(s.request()); (err != nil) != matches {
					t.Errorf("the deny rule, asked for %+v: %v, want denied: %t", s, err, matches)
				}
			}
			for _, s := range tt.matches {
				check(s, true)
			}
			for _, s := range tt.misses {
				check(s, false)
			}
		})
	}
}

// The upstream may go by any of them, so each rule takes the side that lets
// less by.
func TestAFieldThatIsThereTwiceIsJudgedTheStricterWay(t *testing.T) {
	when := When{Headers: map[string]exchange.OneOrMore{"X-Env": {"prod"}}}
	allow := New("p", Config{Default: Deny, Rules: []RuleConfig{{Effect: Allow, When: when}}}, nil)
	deny := New("p", Config{Default: Allow, Rules: []RuleConfig{{Effect: Deny, When: when}}}, nil)
	for _, h := range []http.Header{
		{"X-Env": {"prod", "dev"}},
		{"X-Env": {"dev", "prod"}},
		{"X-Env": {"prod"}, "X_env": {"dev"}},
		{"X-Env": {"dev"}, "X_env": {"prod"}},
		{"X-Env": {"dev"}, "X.env": {"prod"}},
		{"X-Env": {"prod"}, "X~env": {"dev"}},
		{"X-Env": {"dev, prod"}},
		{"X-Env": {"prod ,dev"}},
	} {
		r := said{line: "GET /", header: h}.request()
		if allow.Check(r) == nil {
			t.Errorf("the allow rule lets %v by, want it refused: one value is another", h)
		}
		if deny.Check(r) == nil {
			t.Errorf("the deny rule lets %v by, want it refused: one value is the denied one", h)
		}
	}
}

// Some upstreams merge trailers into the header, and what they say comes behind
// the body, when the rules have spoken.
func TestADenyRuleSeesTheNamesOfAnnouncedTrailers(t *testing.T) {
	values := map[string]exchange.OneOrMore{"X-Role": {"admin"}}
	tests := []struct {
		name    string
		effect  string
		trailer http.Header
		want    bool // allowed
	}{
		{"no trailer", Deny, nil, true},
		{"another trailer", Deny, http.Header{"X-Sum": nil}, true},
		{"the denied one", Deny, http.Header{"X-Sum": nil, "X-Role": nil}, false},
		{"the denied one in another spelling", Deny, http.Header{"X_role": nil}, false},
		{"a value that is known already", Deny, http.Header{"X-Role": {"guest"}}, false},
		{"nobody is allowed by a trailer", Allow, http.Header{"X-Role": {"admin"}}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := Config{Default: Allow, Rules: []RuleConfig{{Effect: tt.effect, When: When{Headers: values}}}}
			if tt.effect == Allow {
				c.Default = Deny
			}
			r := said{line: "POST /", length: -1}.request()
			r.Trailer = tt.trailer
			if err := New("p", c, nil).Check(r); (err == nil) != tt.want {
				t.Errorf("Check() = %v, want allowed: %t", err, tt.want)
			}
		})
	}
}

// A list or mapping that is empty would hold for everybody.
func TestNoKeyOfARuleIsThereAndEmpty(t *testing.T) {
	none := map[string]exchange.OneOrMore{}
	for field, w := range map[string]When{
		"roles":           {Roles: []string{}},
		"scopes":          {Scopes: []string{}},
		"methods":         {Methods: []string{}},
		"paths":           {Paths: []string{}},
		"hosts":           {Hosts: []string{}},
		"headers":         {Headers: none},
		"sourceAddresses": {SourceAddresses: []exchange.Network{}},
		"claims":          {Claims: none},
		"principals":      {Principals: []string{}},
	} {
		var got []string
		w.validate(func(field, problem string) { got = append(got, field+": "+problem) })
		want := []string{field + ": must have at least one value; leave it out where it makes no difference"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("problems (-want +got):\n%s", diff)
		}
	}
}

// An operator who denies by a claim must know that nobody proven is nobody
// denied.
func TestADenyRuleThatAsksWhoPassesWhoIsNotProven(t *testing.T) {
	for name, when := range map[string]When{
		"roles":      {Roles: []string{"x"}},
		"scopes":     {Scopes: []string{"x"}},
		"claims":     {Claims: map[string]exchange.OneOrMore{"x": {"*"}}},
		"principals": {Principals: []string{"*"}},
	} {
		a := New("p", Config{Default: Allow, Rules: []RuleConfig{{Effect: Deny, When: when}}}, nil)
		if err := a.Check(said{line: "GET /"}.request()); err != nil {
			t.Errorf("%s: %v, want nil", name, err)
		}
		if got := when.AsksWho(); got != name {
			t.Errorf("AsksWho() = %q, want %q", got, name)
		}
	}
}

func TestTheRecordHearsWhichRuleDecides(t *testing.T) {
	a := New("rbac", orders(), nil)
	tests := []struct {
		line, who, rule string
		by              int
	}{
		{"GET /v1/orders", "guest", "readers", 11},
		{"DELETE /", "batch", "rule-5", 15},
		{"GET /health", "nobody", "open", 17},
		{"GET /v1/orders", "banned", "suspended", 13},
		{"GET /v1/orders", "nobody", "", 10},
	}
	for _, tt := range tests {
		r := said{line: tt.line, who: people[tt.who]}.request()
		rec := exchange.From(r.Context())
		if err := a.Check(r); err != nil {
			rec.Note(refusal(t, err).Decision())
		}
		ds := rec.Decisions()
		if len(ds) != 1 || ds[0].Rule != tt.rule || ds[0].Line != tt.by || ds[0].Policy != "rbac" {
			t.Errorf("%s by %s: %+v, want one decision, by rule %q at line %d", tt.line, tt.who, ds, tt.rule, tt.by)
		}
	}
}

func TestExplainTellsTheClientTheRule(t *testing.T) {
	c := orders()
	c.Explain = true
	a := New("rbac", c, nil)
	for who, want := range map[string]string{
		"banned": `rule "suspended" denies (line 13 of the policy)`,
		"nobody": `no rule allows (line 10 of the policy)`,
	} {
		f := refusal(t, a.Check(said{line: "GET /v1/orders", who: people[who]}.request()))
		if f.Detail != want {
			t.Errorf("%s is told %q, want %q", who, f.Detail, want)
		}
	}
}

// With server.paths raw: who takes dots off before decoding finds another path
// than who does it after.
func TestResolved(t *testing.T) {
	for target, want := range map[string]string{
		"/a%2fb":                 "",
		"/a%2fb/../admin":        "/admin",
		"/a%2fb/%2e%2E/%61dmin":  "/admin",
		"/a%2fb/..;x/admin%20b":  "/admin b",
		"/admin#/public":         "/admin",
		"/a%2Fb//c":              "/a/b/c",
		"/public/..%2fadmin#x/y": "/public/../admin", // plain has the rest
	} {
		if got := resolved(must(url.ParseRequestURI(target)).RawPath); got != want {
			t.Errorf("resolved(%q) = %q, want %q", target, got, want)
		}
	}
	open := New("p", Config{Default: Allow, Rules: []RuleConfig{{Effect: Deny, When: When{Paths: []string{"/admin"}}}}}, nil)
	for _, target := range []string{"/a%2fb/../admin", "/admin#/public"} {
		if open.Check(said{line: "GET " + target}.request()) == nil {
			t.Errorf("%s passes, want it denied: some servers read /admin", target)
		}
	}
}

func TestPlain(t *testing.T) {
	for path, want := range map[string]string{
		"/":                   "",
		"/a/b":                "",
		"/a/b/":               "",
		"/a/.b":               "",
		"/a/...":              "",
		"/a;x=1/b":            "/a/b",
		"/a/b;x":              "/a/b",
		"/a/;x":               "/a/",
		"/;":                  "/",
		"//":                  "/",
		"/a//b":               "/a/b",
		"/a/./b":              "/a/b",
		"/a/../b":             "/b",
		"/a/..":               "/",
		"/a/b/..":             "/a/",
		"/a/b/.":              "/a/b/",
		"/a/..;x/b":           "/b",
		"/../../a":            "/a",
		`/a\b`:                "/a/b",
		`/a/..\b`:             "/b",
		"/a\x00.png":          "/a",
		"/a;/b\x00/../public": "/a/b",
	} {
		if got := plain(path); got != want {
			t.Errorf("plain(%q) = %q, want %q", path, got, want)
		}
	}
}
