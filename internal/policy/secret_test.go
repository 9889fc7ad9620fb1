package policy

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const horse = "correct-horse-battery"

// withToken is a policy whose token is what the variable holds.
func withToken(t *testing.T, token string) *File {
	t.Helper()
	return parse(t, head+`
server: {admin: ":9901", adminToken: "${ADMIN_TOKEN}"}
routes: [{name: all, upstream: orders}]
`, Options{LookupEnv: func(name string) (string, bool) { return token, name == "ADMIN_TOKEN" }})
}

func TestNothingPrintsASecret(t *testing.T) {
	f := withToken(t, horse)
	if got := f.Server.AdminToken.Value(); got != horse {
		t.Fatalf("AdminToken = %q, want what the variable holds", got)
	}
	written, err := f.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal([]any{f.Tree(), f.TreeOf(f.Server), f.Server})
	if err != nil {
		t.Fatal(err)
	}
	for how, text := range map[string]string{
		"Marshal": string(written),
		"Inline":  f.Inline(f.Server),
		"%v":      fmt.Sprintf("%v", f.Server),
		"%+v":     fmt.Sprintf("%+v", f.Server),
		"%#v":     fmt.Sprintf("%#v", f.Server),
		"String":  f.Server.AdminToken.String(),
		"JSON":    string(asJSON),
	} {
		if strings.Contains(text, horse) {
			t.Errorf("%s tells the secret: %s", how, text)
		}
		if !strings.Contains(text, "${ADMIN_TOKEN}") || strings.Contains(text, secretTag) {
			t.Errorf("%s: got %s, want the secret as it is written", how, text)
		}
	}
}

// What Marshal writes names the variable, and is as good as the file.
func TestMarshalKeepsTheNameOfASecret(t *testing.T) {
	f := withToken(t, horse)
	written, err := f.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse("again.yaml", written, Options{LookupEnv: func(string) (string, bool) { return horse, true }})
	if err != nil {
		t.Fatalf("%v\n%s", err, written)
	}
	if diff := cmp.Diff(f, again, sameFile); diff != "" {
		t.Errorf("what Marshal wrote is another file (-want +got):\n%s\n%s", diff, written)
	}
}

// A new token counts from the reload that reads it, though the file is the
// same to a byte.
func TestDiffTellsThatASecretChanged(t *testing.T) {
	old := withToken(t, horse)
	if diff := Diff(old, old, withToken(t, horse)); diff != nil {
		t.Errorf("Diff of the same token = %q, want nothing", diff)
	}
	want := []string{"server.adminToken changed"}
	if diff := cmp.Diff(want, Diff(old, old, withToken(t, horse+"-staple"))); diff != "" {
		t.Errorf("Diff (-want +got):\n%s", diff)
	}
}

// What holds a secret is a private key, a shared secret or a token: wherever it
// stands, and not what stands beside it.
func TestSecretFiles(t *testing.T) {
	const doc = `version: v1
server:
  tls: {certFile: c.crt, keyFile: c.key}
  adminAuth: {tokens: [{name: ci, file: /run/ci.token}]}
upstreams: {app: {endpoints: [{url: "https://app:443"}], tls: {caFile: ca.crt, certFile: d.crt, keyFile: d.key}}}
policies:
  authn:
    users:
      issuers:
        - {issuer: ours, secretFile: s.secret}
        - issuer: https://id.example.com
          introspection: {url: "https://id.example.com/ask", clientID: us, clientSecretFile: i.secret}
      apiKeys: {header: X-Api-Key, file: keys.jsonl}
routes: [{name: all, upstream: app}]
`
	read := func(string) ([]byte, error) { return []byte(horse), nil }
	f, err := Parse("/etc/sidecar/sidecar.yaml", []byte(doc), Options{ReadFile: read})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"server.tls.keyFile":                                             "/etc/sidecar/c.key",
		"server.adminAuth.tokens[0].file":                                "/run/ci.token",
		"upstreams.app.tls.keyFile":                                      "/etc/sidecar/d.key",
		"policies.authn.users.issuers[0].secretFile":                     "/etc/sidecar/s.secret",
		"policies.authn.users.issuers[1].introspection.clientSecretFile": "/etc/sidecar/i.secret",
	}
	if diff := cmp.Diff(want, f.SecretFiles()); diff != "" {
		t.Errorf("SecretFiles (-want +got):\n%s", diff)
	}
	for _, thing := range f.things() {
		if strings.Contains(thing.print, hex.EncodeToString([]byte(horse))) || strings.Contains(thing.print, horse) {
			t.Errorf("the print of %s holds a file: %s", thing.name, thing.print)
		}
	}
}
