package policy

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"gopkg.in/yaml.v3"
)

const orchard = `version: v1
server:
  trustedProxies: [10.0.0.0/8, 10.1.2.3]
  limits: {maxConnections: "${CONNECTIONS}", readHeaderTimeout: "${PATIENCE}"}
upstreams:
  line: {endpoints: [{url: "${ORDERS:-http://127.0.0.1:3000}"}]}
policies:
  rateLimit: {fair: {rate: 5/s, key: [ip]}}
  fault:
    chaos: {percent: 30, abort: {status: 503}}
  circuitBreaker: {rough: {fallback: {body: "none of ${GREETING}"}}}
defaults: {use: {rateLimit: [fair], retry: none}}
routes:
  - name: own
    match: {headers: {X-Key: "${KEY}", X-Other: "*"}}
    upstream: line
    timeout: 2s
    use:
      circuitBreaker:
        consecutiveFailures: 5
      fault: chaos
`

func parseOrchard(t *testing.T) *File {
	t.Helper()
	env := map[string]string{"CONNECTIONS": "64", "PATIENCE": "90s", "GREETING": "it", "KEY": "hunter2"}
	return parse(t, orchard, Options{LookupEnv: func(name string) (string, bool) {
		value, ok := env[name]
		return value, ok
	}})
}

// at returns what is at a path in a tree, as encoding/json prints it.
func at(t *testing.T, tree any, path ...any) any {
	t.Helper()
	text, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	for _, step := range path {
		switch step := step.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[step]
		case int:
			v = v.([]any)[step]
		}
	}
	return v
}

func TestTree(t *testing.T) {
	tree := parseOrchard(t).Tree()
	type path = []any
	type object = map[string]any
	tests := []struct {
		name string
		path path
		want any
	}{
		{"a text", path{"version"}, "v1"},
		{"what was not said", path{"server", "listen"}, ":8080"},
		{"a list", path{"server", "trustedProxies"}, []any{"10.0.0.0/8", "10.1.2.3/32"}},
		{"a size", path{"server", "limits", "maxHeaderBytes"}, "32KiB"},
		{"a number is a number", path{"policies", "fault", "chaos", "percent"}, 30.0},
		{"a truth is a truth", path{"policies", "fault", "chaos", "enabled"}, false},
		{"a rate", path{"policies", "rateLimit", "fair", "rate"}, "5/s"},
		{"what is empty is left out", path{"policies", "rateLimit", "fair", "burst"}, nil},
		{"a duration", path{"defaults", "timeout"}, "5s"},
		{"a duration behind a pointer", path{"routes", 0, "timeout"}, "2s"},
		{"conditions", path{"routes", 0, "use", "circuitBreaker", "failureOn", 0}, "5xx"},
		{"one name", path{"routes", 0, "use", "fault"}, "chaos"},
		{"a list of one", path{"defaults", "use", "rateLimit"}, "fair"},
		{"none", path{"defaults", "use", "retry"}, "none"},
		{"an inline policy", path{"routes", 0, "use", "circuitBreaker", "consecutiveFailures"}, 5.0},

		{"the file has a line", path{"line"}, 1.0},
		{"a section", path{"server", "line"}, 2.0},
		{"a section of a section", path{"server", "limits", "line"}, 4.0},
		{"a policy", path{"policies", "fault", "chaos", "line"}, 10.0},
		{"a route", path{"routes", 0, "line"}, 14.0},
		{"an inline policy's", path{"routes", 0, "use", "circuitBreaker", "line"}, 19.0},
		{"a section that is not in the file", path{"server", "shutdown", "line"}, nil},
		{"a name is no line", path{"upstreams", "line", "line"}, 6.0},
		{"names have none", path{"policies", "rateLimit", "line"}, nil},

		{"a number that a variable holds", path{"server", "limits", "maxConnections"}, 64.0},
		{"a duration that a variable holds", path{"server", "limits", "readHeaderTimeout"}, "1m30s"},
		{"a text that a variable holds may be a secret", path{"routes", 0, "match", "headers"}, object{"X-Key": "${KEY}", "X-Other": "*"}},
		{"so may part of one", path{"policies", "circuitBreaker", "rough", "fallback", "body"}, "none of ${GREETING}"},
		{"a default stands in the file anyway", path{"upstreams", "line", "endpoints", 0, "url"}, "http://127.0.0.1:3000"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, at(t, tree, tt.path...)); diff != "" {
				t.Errorf("%v (-want +got):\n%s", tt.path, diff)
			}
		})
	}
}

func TestTreeOf(t *testing.T) {
	f := parseOrchard(t)
	want := map[string]any{"headers": map[string]any{"X-Key": "${KEY}", "X-Other": "*"}}
	if diff := cmp.Diff(want, at(t, f.TreeOf(f.Routes[0].Match))); diff != "" {
		t.Errorf("TreeOf(match) (-want +got):\n%s", diff)
	}
	// A pointer to a section is that section.
	if got := at(t, f.TreeOf(f.Policies.Fault["chaos"]), "abort"); !cmp.Equal(got, any(map[string]any{"status": 503.0})) {
		t.Errorf("TreeOf(fault).abort = %v, want the status alone", got)
	}
	// A File that was made, not read, has a tree as well.
	if got := at(t, new(File).Tree(), "version"); got != "" {
		t.Errorf("Tree of nothing: version %v, want none", got)
	}
}

// A key to a service often stands in the query of its URL.
func TestTreeHidesQueries(t *testing.T) {
	const text = `
version: v1
upstreams: {app: {endpoints: [{url: "http://127.0.0.1:3000"}]}}
policies:
  authn:
    users:
      issuers:
        - {issuer: a, audiences: [x], jwksURL: "https://id.example/keys?code=hunter2"}
        - {issuer: b, audiences: [x], introspection: {url: "https://id.example/ask?code=hunter2", clientID: me, clientSecretFile: key}}
  authz:
    opa: {external: {url: "http://127.0.0.1:8181/decide?code=hunter2&more=${MORE}"}}
    rbac: {rules: [{effect: allow, when: {headers: {X-From: "/a?c"}}}]}
routes: [{name: all, upstream: app, use: {authn: users, authz: [opa, rbac]}}]
`
	f, err := Parse("sidecar.yaml", []byte(text), Options{
		ReadFile:  func(string) ([]byte, error) { return []byte("0123456789abcdef"), nil },
		LookupEnv: func(string) (string, bool) { return "hunter2", true },
	})
	if err != nil {
		t.Fatal(err)
	}
	shown, err := json.Marshal([]any{f.Tree(), f.TreeOf(f.Policies.Authn["users"]), f.TreeOf(f.Policies.Authz["opa"])})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"https://id.example/keys?***"`, `"https://id.example/ask?***"`, `"http://127.0.0.1:8181/decide?***"`, `"/a?c"`} {
		if !strings.Contains(string(shown), want) {
			t.Errorf("%s does not tell %s", shown, want)
		}
	}
	for _, secret := range []string{"hunter2", "code", "MORE"} {
		if strings.Contains(string(shown), secret) {
			t.Errorf("%s tells %s", shown, secret)
		}
	}
}

func TestNamed(t *testing.T) {
	f := parseOrchard(t)
	type line struct {
		Kind, Name, Path string
		Line             int
	}
	var got []line
	for kind, p := range f.Named() {
		got = append(got, line{kind, p.Name, p.Path, f.Line(p.Path)})
	}
	want := []line{
		{"rateLimit", "fair", "policies.rateLimit.fair", 8},
		{"circuitBreaker", "rough", "policies.circuitBreaker.rough", 11},
		{"fault", "chaos", "policies.fault.chaos", 10},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Named (-want +got):\n%s", diff)
	}
	for range f.Named() {
		break // asks for no more
	}
}

// A tree says what Marshal does, of every key that there is.
func TestTreeSaysWhatMarshalSays(t *testing.T) {
	a, err := txtar.ParseFile("testdata/whole.txtar")
	if err != nil {
		t.Fatal(err)
	}
	f, err := Parse("sidecar.yaml", []byte(content(a, "sidecar.yaml")), surroundings(a))
	if err != nil {
		t.Fatal(err)
	}
	written, err := f.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	var want any
	if err := yaml.Unmarshal(written, &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(at(t, want), at(t, f.TreeOf(f))); diff != "" {
		t.Errorf("TreeOf (-what Marshal says +got):\n%s", diff)
	}
}
