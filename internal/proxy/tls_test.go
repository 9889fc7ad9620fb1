package proxy

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"sidecar/internal/certs/certstest"
	"sidecar/internal/exchange"
	"sidecar/internal/policy"
)

// encrypted is a policy with TLS on all sides.
const encrypted = `
version: v1
server: {tls: {certFile: tls.crt, keyFile: tls.key, clientCAFile: ca.crt, clientAuth: require}, adminTLS: {certFile: tls.crt, keyFile: tls.key}}
upstreams:
  app: {endpoints: [{url: "https://127.0.0.1:1"}], tls: {caFile: ca.crt, certFile: tls.crt, keyFile: tls.key}}
  trial: {endpoints: [{url: "https://127.0.0.1:1"}], tls: {insecureSkipVerify: true}}
routes:
  - {name: trial, match: {path: /trial}, upstream: trial}
  - {name: more, match: {path: /more}, upstream: app}
  - {name: all, upstream: app}
`

// files are what a policy names.
type files map[string][]byte

func (f files) parse(t *testing.T, text string) *policy.File {
	t.Helper()
	file, err := policy.Parse("test.yaml", []byte(text), policy.Options{ReadFile: func(path string) ([]byte, error) {
		data, ok := f[path]
		if !ok {
			return nil, fs.ErrNotExist
		}
		return data, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func shown(ca *certstest.Authority, pair certstest.Pair) files {
	return files{"tls.crt": pair.Cert, "tls.key": pair.Key, "ca.crt": ca.PEM()}
}

func TestCertificatesAreThoseOfTheSnapshot(t *testing.T) {
	ca := certstest.New(t, "ours")
	first := shown(ca, ca.Issue(t, "first"))
	p := New(Options{Observers: exchange.Observers{}})
	defer p.Close()
	if err := p.Apply(first.parse(t, encrypted)); err != nil {
		t.Fatal(err)
	}
	old := p.Snapshot()
	var got []string
	for _, c := range old.Certificates() {
		got = append(got, c.Listener+c.Upstream+" "+c.Key)
	}
	if want := []string{"admin certFile", "data certFile", "data clientCAFile", "app caFile", "app certFile"}; !slices.Equal(got, want) {
		t.Errorf("certificates %v, want %v", got, want)
	}
	if old.TLS("telemetry") != nil || old.TLS("data") == nil || old.TLS("admin") == nil {
		t.Error("TLS is not that of data and admin")
	}
	if got := old.Unverified(); !slices.Equal(got, []string{"trial"}) {
		t.Errorf("unverified are %v, want trial", got)
	}

	same := shown(ca, certstest.Pair{Cert: first["tls.crt"], Key: first["tls.key"]})
	renewed := shown(ca, ca.Issue(t, "second"))
	for _, tt := range []struct {
		name  string
		files files
		text  string
		reset []string
	}{
		{"the same contents", same, "\n\n" + encrypted, nil},
		{"another certificate", renewed, encrypted, []string{"pool/app"}},
		{"another name of the server", renewed, strings.Replace(encrypted, "caFile:", "serverName: other, caFile:", 1), []string{"pool/app"}},
		{"an upstream is verified after all", renewed, strings.Replace(strings.Replace(encrypted, "caFile:", "serverName: other, caFile:", 1), "insecureSkipVerify: true", "insecureSkipVerify: false", 1), []string{"pool/trial"}},
	} {
		before := p.Snapshot()
		if err := p.Apply(tt.files.parse(t, tt.text)); err != nil {
			t.Fatal(err)
		}
		if got := before.Reset(p.Snapshot()); !slices.Equal(got, tt.reset) {
			t.Errorf("%s resets %v, want %v", tt.name, got, tt.reset)
		}
	}
	if got := p.Snapshot().TLS("data").Certificates[0].Leaf.Subject.CommonName; got != "second" {
		t.Errorf("the listener shows %s, want the second certificate", got)
	}
}

func TestABrokenCertificateIsAProblemInItsPlace(t *testing.T) {
	ca := certstest.New(t, "ours")
	good := shown(ca, ca.Issue(t, "here"))
	p := New(Options{Observers: exchange.Observers{}})
	defer p.Close()
	if err := p.Apply(good.parse(t, encrypted)); err != nil {
		t.Fatal(err)
	}
	held := p.Snapshot()
	broken := files{"tls.crt": good["tls.crt"], "tls.key": []byte("x"), "ca.crt": good["ca.crt"]}
	err := p.Apply(broken.parse(t, encrypted))
	var got policy.Problems
	if !errors.As(err, &got) {
		t.Fatalf("error %v, want Problems", err)
	}
	const problem = "keyFile: must hold a private key in PEM, and has none"
	for _, where := range []string{"3:44: server.tls.", "upstreams.app.tls.", "server.adminTLS."} {
		if !strings.Contains(got.Error(), where+problem) {
			t.Errorf("problems:\n%s\nwant %s%s among them", got, where, problem)
		}
	}
	if len(got) != 3 {
		t.Errorf("problems:\n%s\nwant each once", got)
	}
	if p.Snapshot() != held {
		t.Error("the snapshot is another, want the one before to hold")
	}
}

func TestAListenerKeepsItsTLSUntilTheRestart(t *testing.T) {
	ca := certstest.New(t, "ours")
	good := shown(ca, ca.Issue(t, "here"))
	p := New(Options{Observers: exchange.Observers{}})
	defer p.Close()
	without := strings.Replace(encrypted, "server: {tls:", "server: {telemetryTLS:", 1)
	for _, text := range []string{encrypted, without, without} {
		if err := p.Apply(good.parse(t, text)); err != nil {
			t.Fatal(err)
		}
		if p.Snapshot().TLS("data") == nil {
			t.Error("the listener has nothing to show")
		}
	}
}

func TestWhatHasExpiredIsAWarningInItsPlace(t *testing.T) {
	ca := certstest.New(t, "ours")
	s, err := New(Options{}).Check(shown(ca, ca.Issue(t, "late", certstest.Expired)).parse(t, encrypted))
	if err != nil {
		t.Fatal(err)
	}
	text := s.Warnings().Error()
	for _, at := range []string{"test.yaml:3:26: server.tls.certFile: warning: has expired, at ", "server.adminTLS.certFile: warning:", "upstreams.app.tls.certFile: warning:"} {
		if !strings.Contains(text, at) {
			t.Errorf("warnings:\n%s\nwant %s", text, at)
		}
	}
	if got := len(s.Warnings()); got != 3 {
		t.Errorf("%d warnings, want 3", got)
	}
}
