package policy

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"

	"sidecar/internal/breaker"
	"sidecar/internal/retry"
)

// The smallest file: where requests go. All else has a default.
func ExampleParse() {
	f, err := Parse("sidecar.yaml", []byte(`version: v1
upstreams: {app: {endpoints: [{url: "http://127.0.0.1:3000"}]}}
routes: [{name: all, upstream: app}]
`), Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	e := f.Effective(f.Routes[0])
	fmt.Println("listen:", f.Server.Listen)
	fmt.Println("timeout:", e.Timeout)
	fmt.Println("attempts:", e.Retry.Config.MaxAttempts)
	fmt.Println("breaker opens for:", e.CircuitBreaker.Config.OpenFor.Base)
	fmt.Println("body:", e.Validation[0].Config.MaxBody)
	fmt.Println("authenticated:", e.Authn != nil)
	// Output:
	// listen: :8080
	// timeout: 5s
	// attempts: 3
	// breaker opens for: 5s
	// body: 10MiB
	// authenticated: false
}

const head = `version: v1
upstreams: {orders: {endpoints: [{url: "http://127.0.0.1:3000"}]}}
`

func parse(t *testing.T, text string, o ...Options) *File {
	t.Helper()
	o = append(o, Options{})
	f, err := Parse("conf/sidecar.yaml", []byte(text), o[0])
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestEffective(t *testing.T) {
	f := parse(t, head+`
policies:
  retry: {safe: {maxAttempts: 2}, bold: {maxAttempts: 9}}
  rateLimit: {few: {rate: 1/s}, many: {rate: 100/s}}
  fault: {chaos: {abort: {status: 503}}}
defaults:
  timeout: 3s
  maxDuration: 1m
  use: {retry: safe, rateLimit: [many, few], fault: chaos, validation: {maxBody: 1KiB}}
routes:
  - {name: plain, upstream: orders, match: {path: /a}}
  - name: own
    upstream: orders
    timeout: 0s
    streamIdleTimeout: 1s
    maxDuration: 2s
    match: {path: /b}
    use: {retry: {perTryTimeout: 1s}, rateLimit: few, fault: none, circuitBreaker: none, validation: none}
`)
	summary := func(e Effective) (lines []string) {
		add := func(kind, name, path string) { lines = append(lines, kind+" "+name+" "+path) }
		lines = append(lines, fmt.Sprintf("timeouts %v %v %v", e.Timeout, e.StreamIdleTimeout, e.MaxDuration))
		for _, p := range e.Validation {
			add("validation", p.Name, fmt.Sprint(p.Path, " ", p.Config.MaxBody))
		}
		for _, p := range e.RateLimit {
			add("rateLimit", p.Name, p.Path)
		}
		if p := e.CircuitBreaker; p != nil {
			add("circuitBreaker", p.Name, p.Path)
		}
		if p := e.Retry; p != nil {
			add("retry", p.Name, fmt.Sprint(p.Path, " ", p.Config.MaxAttempts))
		}
		for _, p := range e.Fault {
			add("fault", p.Name, p.Path)
		}
		return lines
	}
	tests := []struct {
		route int
		want  []string
	}{
		{0, []string{
			"timeouts 3s 1m0s 1m0s",
			"validation plain/validation defaults.use.validation 1KiB",
			"rateLimit many policies.rateLimit.many",
			"rateLimit few policies.rateLimit.few",
			"circuitBreaker default ",
			"retry safe policies.retry.safe 2",
			"fault chaos policies.fault.chaos",
		}},
		{1, []string{
			"timeouts 0s 1s 2s",
			"rateLimit few policies.rateLimit.few",
			"retry own/retry routes[own].use.retry 3",
		}},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, summary(f.Effective(f.Routes[tt.route]))); diff != "" {
			t.Errorf("Effective(%s) (-want +got):\n%s", f.Routes[tt.route].Name, diff)
		}
	}
}

// Use, Policies and Effective name the same kinds: the checks of use find
// their way from one to the other by these names.
func TestKindsAreTheSameEverywhere(t *testing.T) {
	use := fieldsOf(reflect.TypeFor[Use]()).keys()
	if got := fieldsOf(reflect.TypeFor[Policies]()).keys(); !cmp.Equal(use, got) {
		t.Errorf("keys of Policies = %v, want those of Use, %v", got, use)
	}
	for i := range reflect.TypeFor[Use]().NumField() {
		name := reflect.TypeFor[Use]().Field(i).Name
		if _, ok := reflect.TypeFor[Effective]().FieldByName(name); !ok {
			t.Errorf("Effective has no %s", name)
		}
	}
}

func TestLines(t *testing.T) {
	f := parse(t, head+`
policies:
  retry:
    safe:
      maxAttempts: 2
  authz:
    rbac:
      rules:
        - effect: allow
        - {name: b, effect: deny}
  circuitBreaker:
    b:
      fallback:
        status: 200
routes:
  - upstream: orders
    name: all
    use:
      retry: safe
      rateLimit:
        rate: 1/s
telemetry:
  logs: {}
`)
	tests := []struct {
		what      string
		got, want int
	}{
		{"upstream", f.Upstreams["orders"].Line, 2},
		{"endpoint", f.Upstreams["orders"].Endpoints[0].Line, 2},
		{"policy", f.Policies.Retry["safe"].Line, 6},
		{"first rule", f.Policies.Authz["rbac"].Rules[0].Line, 11},
		{"second rule", f.Policies.Authz["rbac"].Rules[1].Line, 12},
		{"fallback", f.Policies.CircuitBreaker["b"].Fallback.Line, 15},
		{"route", f.Routes[0].Line, 18},
		{"name in use", f.Routes[0].Use.Retry.Line, 21},
		{"inline policy", f.Routes[0].Use.RateLimit.Inline.Line, 22},
		{"section of a section", f.Telemetry.Logs.Line, 25},
		{"what is not said", f.Routes[0].Use.Authz.Line, 0},
	}
	for _, tt := range tests {
		if tt.got != tt.want {
			t.Errorf("line of %s = %d, want %d", tt.what, tt.got, tt.want)
		}
	}
}

func TestProblemIsAtTheNearestKey(t *testing.T) {
	secret := func(string) (string, bool) { return "s3cret-s3cret", true }
	f := parse(t, head+`
routes:
  - name: all
    upstream: orders
    match: {host: "${X}"}
    use:
      retry: {maxAttempts: 4}
`, Options{LookupEnv: secret})
	tests := []struct{ path, text, want string }{
		{"routes[all].use.retry.maxAttempts", "no", "conf/sidecar.yaml:9:28: routes[all].use.retry.maxAttempts: no"},
		{"routes[all].use.retry.backoff.base", "no", "conf/sidecar.yaml:9:7: routes[all].use.retry.backoff.base: no"},
		{"routes[all].use", "no", "conf/sidecar.yaml:8:5: routes[all].use: no"},
		{"routes[all]", "no", "conf/sidecar.yaml:5:5: routes[all]: no"},
		{"routes[other].name", "no", "conf/sidecar.yaml:4:1: routes[other].name: no"},
		{"telemetry.logs", "no", "conf/sidecar.yaml:1:1: telemetry.logs: no"},
		{"", "no", "conf/sidecar.yaml:1:1: no"},
		{"routes[all].upstream", "looking up s3cret-s3cret:80", `conf/sidecar.yaml:6:15: routes[all].upstream: looking up ${X}:80`},
	}
	for _, tt := range tests {
		if got := f.Problem(tt.path, tt.text).String(); got != tt.want {
			t.Errorf("Problem(%q, %q)\n got %s\nwant %s", tt.path, tt.text, got, tt.want)
		}
	}
}

func TestHidingLeavesNoPartOfAValue(t *testing.T) {
	env := map[string]string{"SHORT": "middle-of-it", "LONG": "begin-middle-of-it-end"}
	f := parse(t, head+`
routes:
  - {name: a, upstream: orders, match: {path: "/a", headers: {X: "${SHORT}"}}}
  - {name: b, upstream: orders, match: {path: "/b", headers: {X: "${LONG}"}}}
`, Options{LookupEnv: func(name string) (string, bool) { return env[name], true }})
	got := f.Problem("routes[a].name", "saw begin-middle-of-it-end").Text
	if want := "saw ${LONG}"; got != want {
		t.Errorf("Problem shows %q, want %q", got, want)
	}
}

type withDefault struct {
	N int `yaml:"n"`
	M int `yaml:"m"`
}

func (d *withDefault) SetDefaults() { d.N, d.M = 7, 8 }

func TestDefaultsReachEverySection(t *testing.T) {
	type section struct {
		Said    withDefault             `yaml:"said"`
		Unsaid  withDefault             `yaml:"unsaid"`
		List    []withDefault           `yaml:"list"`
		Items   []*withDefault          `yaml:"items"`
		Named   map[string]*withDefault `yaml:"named"`
		Pointer *withDefault            `yaml:"pointer"`
		Nothing *withDefault            `yaml:"nothing"`
	}
	var doc yaml.Node
	text := "{said: {m: 1}, list: [{m: 1}], items: [{m: 1}], named: {a: {m: 1}}, pointer: {m: 1}}"
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	var got section
	w := newWalk("test.yaml", nil, Options{})
	v := reflect.ValueOf(&got).Elem()
	setDefaults(v)
	if !w.value(doc.Content[0], doc.Content[0], "", v) || len(w.problems) > 0 {
		t.Fatal(w.problems)
	}
	said := withDefault{N: 7, M: 1}
	want := section{
		Said: said, Unsaid: withDefault{N: 7, M: 8}, List: []withDefault{said}, Items: []*withDefault{&said},
		Named: map[string]*withDefault{"a": &said}, Pointer: &said,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestFileWithoutSource(t *testing.T) {
	f := &File{Routes: []*Route{{Name: "all", Upstream: "orders"}}}
	f.SetDefaults()
	if got, want := f.Problem("routes[all]", "no").String(), ":0:0: routes[all]: no"; got != want {
		t.Errorf("Problem = %q, want %q", got, want)
	}
	if got := f.Effective(f.Routes[0]).Retry.Name; got != "default" {
		t.Errorf("Effective: retry is %q, want default", got)
	}
	if f.Name() != "" || f.Hash() != "" {
		t.Errorf("Name, Hash = %q, %q, want none", f.Name(), f.Hash())
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("keys/secret", strings.Repeat("k", 32))
	path := write("sidecar.yaml", head+`
policies: {authn: {users: {issuers: [{issuer: a, secretFile: keys/secret}]}}}
routes: [{name: all, upstream: orders, use: {authn: users}}]
`)

	f, err := Load(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := f.ReadFile("keys/secret"); err != nil || string(got) != strings.Repeat("k", 32) {
		t.Errorf("ReadFile = %q, %v, want the secret", got, err)
	}
	if _, err := f.ReadFile("sidecar.yaml"); err == nil {
		t.Error("ReadFile of a file that the policy does not name = nil, want an error")
	}
	if len(f.Hash()) != 64 || f.Name() != path {
		t.Errorf("Hash, Name = %q, %q, want 64 hex digits and %q", f.Hash(), f.Name(), path)
	}
	if s := fmt.Sprintf("%+v", f); strings.Contains(s, "kkkk") {
		t.Errorf("a printed File shows the secret: %s", s)
	}

	_, err = Load(filepath.Join(dir, "missing.yaml"), Options{})
	if _, isProblems := err.(Problems); isProblems || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Load of a missing file = %v, want fs.ErrNotExist", err)
	}

	write("keys/secret", strings.Repeat("k", maxFile+1))
	wantProblem(t, path, "cannot be read: is larger than 1 MiB")
	if err := os.Remove(filepath.Join(dir, "keys/secret")); err != nil {
		t.Fatal(err)
	}
	wantProblem(t, path, "cannot be read: no such file or directory")
	wantProblem(t, write("large.yaml", strings.Repeat("#", maxFile+1)), "must be at most 1 MiB")

	f, err = Load(path, Options{Offline: true})
	if err != nil {
		t.Fatalf("Load offline: %v", err)
	}
	if _, err := f.ReadFile("keys/secret"); err == nil {
		t.Error("ReadFile offline = nil, want an error")
	}
}

func wantProblem(t *testing.T, path, text string) {
	t.Helper()
	_, err := Load(path, Options{})
	if problems, ok := err.(Problems); !ok || len(problems) != 1 || !strings.Contains(err.Error(), text) {
		t.Errorf("Load(%s) = %v, want one problem: %s", path, err, text)
	}
}

func TestForUpstream(t *testing.T) {
	f, err := ForUpstream("http://127.0.0.1:3000")
	if err != nil {
		t.Fatal(err)
	}
	if got := f.Upstreams[f.Routes[0].Upstream].Endpoints[0].URL; got != "http://127.0.0.1:3000" {
		t.Errorf("endpoint = %q, want the URL", got)
	}
	t.Setenv("SOME_URL", "http://127.0.0.1:3000")
	for _, url := range []string{"", "localhost:3000", "${SOME_URL}", `x"}]}}, other: {endpoints: [{url: "http://y:1`, "http://a:b@c"} {
		_, err := ForUpstream(url)
		if problems, ok := err.(Problems); !ok || len(problems) != 1 || problems[0].Path != "upstreams.app.endpoints[0].url" {
			t.Errorf("ForUpstream(%q) = %v, want a problem with the url", url, err)
		}
	}
}

func TestAliasBombsAreRefused(t *testing.T) {
	many := func(alias string, n int) string { return strings.Repeat(alias+", ", n) }
	tests := map[string]string{
		"of routes":      head + "x: &m [" + many("GET", 1000) + "]\nroutes: [&r {name: a, upstream: orders, match: {methods: &ms [" + many("GET", 1000) + "]}}, " + many("*r", 10_000) + "]\n",
		"of long texts":  head + "routes: [{name: a, upstream: orders, match: {methods: [&t " + strings.Repeat("G", 200_000) + ", " + many("*t", 50_000) + "]}}]\n",
		"of unknown key": head + "routes: [&r {name: a, upstream: orders, use: {" + unknownKeys(5000) + "}}, " + many("*r", 50_000) + "]\n",
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			_, err := Parse("bomb.yaml", []byte(text), Options{})
			if err == nil || !strings.Contains(err.Error(), "is too much for a policy") {
				t.Errorf("Parse = %.200v, want it refused as too much", err)
			}
			t.Logf("took %v", time.Since(start))
		})
	}
}

func unknownKeys(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "q%d: 1, ", i)
	}
	return b.String()
}

func TestFingerprint(t *testing.T) {
	base := retry.Config{Line: 4, MaxAttempts: 3}
	moved, changed := base, base
	moved.Line, changed.MaxAttempts = 9, 4
	if Fingerprint(base) != Fingerprint(&moved) {
		t.Error("a config that moved has another fingerprint")
	}
	if Fingerprint(base) == Fingerprint(changed) {
		t.Error("a config that changed has the same fingerprint")
	}
	with := breaker.Config{Fallback: &breaker.Fallback{Line: 1, Status: 503}}
	same := breaker.Config{Fallback: &breaker.Fallback{Line: 2, Status: 503}}
	if Fingerprint(with) != Fingerprint(same) {
		t.Error("a config whose section moved has another fingerprint")
	}
	a := Ref[retry.Config]{Line: 1, Names: []string{"safe"}}
	b := Ref[retry.Config]{Line: 2, Names: []string{"safe"}}
	if Fingerprint(a) != Fingerprint(b) {
		t.Error("a reference that moved has another fingerprint")
	}
}

func TestMarshalKeepsWhatIsHardToWrite(t *testing.T) {
	f := parse(t, head+`
defaults: {timeout: 0s, streamIdleTimeout: 0s}
policies:
  circuitBreaker:
    b: {fallback: {body: "  two\n\n lines\n $${X} $ \t\u00a0"}}
    c: {fallback: {body: "yes", contentType: "2020-01-01"}}
  fault: {f: {abort: {status: 503}, seed: -9223372036854775808, percent: 0.1}}
routes:
  - {name: a, upstream: orders, upgrade: [], match: {headers: {X-A: "null", X-B: "", X-C: "~", X-D: "<<", X-E: "*"}}}
`)
	written, err := f.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse("again.yaml", written, Options{})
	if err != nil {
		t.Fatalf("%v\n%s", err, written)
	}
	if diff := cmp.Diff(f, again, sameFile); diff != "" {
		t.Errorf("what Marshal wrote is another file (-want +got):\n%s\n%s", diff, written)
	}
}

func TestDiff(t *testing.T) {
	const policies = `
policies:
  retry: {safe: {maxAttempts: 2}, gone: {}}
  authn: {users: {issuers: [{issuer: a, secretFile: k}]}}
`
	const routes = `
routes:
  - {name: a, upstream: orders, match: {path: /a}}
  - {name: b, upstream: orders, match: {path: /b}}
`
	secret := "one"
	o := Options{ReadFile: func(string) ([]byte, error) { return []byte(secret), nil }}
	old := parse(t, head+policies+routes, o)

	tests := []struct {
		name, text, secret string
		want               []string
	}{
		{"nothing", head + policies + routes, "one", nil},
		{"moved lines", "# moved\n" + head + routes + policies, "one", nil},
		{"a setting", head + strings.Replace(policies, "maxAttempts: 2", "maxAttempts: 3", 1) + routes, "one", []string{"retry/safe changed"}},
		{"a file that is named", head + policies + routes, "two", []string{"authn/users changed"}},
		{"a certificate begins", head + "server: {adminTLS: {certFile: c, keyFile: k}}\n" + policies + routes, "one", []string{"server.adminTLS changed: needs a restart"}},
		{"the order of routes", head + policies + `
routes:
  - {name: b, upstream: orders, match: {path: /b}}
  - {name: a, upstream: orders, match: {path: /a}}
`, "one", []string{"order of routes changed"}},
		{"everything", `version: v1
server: {listen: ":80", telemetry: ":81", admin: "localhost:82", protocols: [http1], limits: {idleTimeout: 1s}, paths: raw, shutdown: {timeout: 1s}}
upstreams: {users: {endpoints: [{url: "http://127.0.0.1:3000"}]}}
policies: {retry: {safe: {maxAttempts: 2}, more: {}}}
defaults: {timeout: 1s}
routes: [{name: c, upstream: users, match: {path: /c}}, {name: a, upstream: users}]
telemetry: {logs: {level: debug}}
`, "one", []string{
			"server.listen changed: needs a restart",
			"server.telemetry changed: needs a restart",
			"server.admin changed: needs a restart",
			"server.protocols changed: needs a restart",
			"server.limits changed: needs a restart",
			"server.paths changed",
			"server.shutdown changed",
			"upstream users added",
			"retry/more added",
			"defaults changed",
			"route c added",
			"route a changed",
			"telemetry.logs changed",
			"authn/users removed",
			"retry/gone removed",
			"route b removed",
			"upstream orders removed",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			secret = tt.secret
			next := parse(t, tt.text, o)
			if diff := cmp.Diff(tt.want, Diff(old, old, next)); diff != "" {
				t.Errorf("Diff (-want +got):\n%s", diff)
			}
		})
	}
}

// Whether there is TLS is read once, and nothing else of it.
func TestDiffFollowsCertificates(t *testing.T) {
	content := ""
	file := func(section, certificate string) *File {
		content = certificate
		return parse(t, head+"server: {"+section+"}\nroutes: [{name: a, upstream: orders}]\n",
			Options{ReadFile: func(string) ([]byte, error) { return []byte(content), nil }})
	}
	const section = "tls: {certFile: c, keyFile: k}"
	on, renewed, off := file(section, "one"), file(section, "two"), file("", "")
	asked := file("tls: {certFile: c, keyFile: k, clientCAFile: a, clientAuth: require}", "one")
	const changed, restart = "server.tls changed", "server.tls changed: needs a restart"
	for _, tt := range []struct {
		name               string
		started, old, next *File
		want               []string
	}{
		{"a new certificate", on, on, renewed, []string{changed}},
		{"it is still the new one", on, renewed, renewed, nil},
		{"clients are asked for theirs", on, on, asked, []string{changed}},
		{"TLS ends", on, renewed, off, []string{restart}},
		{"it is still to end", on, off, off, []string{restart}},
		{"it does not end after all", on, off, on, []string{changed}},
		{"TLS begins", off, off, on, []string{restart}},
		{"it is still to begin", off, on, renewed, []string{restart}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, Diff(tt.started, tt.old, tt.next)); diff != "" {
				t.Errorf("Diff (-want +got):\n%s", diff)
			}
		})
	}
}

// What is read once needs a restart until it is what the process began with,
// however often the file is read.
func TestDiffHoldsWhatIsReadOnceAgainstTheStart(t *testing.T) {
	file := func(port string) *File {
		return parse(t, head+"server: {listen: \":"+port+"\"}\nroutes: [{name: a, upstream: orders}]\n", Options{})
	}
	started, moved := file("8080"), file("8081")
	const restart = "server.listen changed: needs a restart"
	for _, tt := range []struct {
		name      string
		old, next *File
		want      []string
	}{
		{"it changes", started, moved, []string{restart}},
		{"it is still another", moved, moved, []string{restart}},
		{"it is what it was", moved, started, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, Diff(started, tt.old, tt.next)); diff != "" {
				t.Errorf("Diff (-want +got):\n%s", diff)
			}
		})
	}
}
