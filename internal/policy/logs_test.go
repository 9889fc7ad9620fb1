package policy

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFieldsOfAPIKeysAreNotLogged(t *testing.T) {
	const doc = `version: v1
upstreams: {app: {endpoints: [{url: "http://127.0.0.1:3000"}]}}
policies:
  authn:
    used: {apiKeys: {header: X-One, file: keys}}
    unused: {mode: disabled, apiKeys: {header: X-Two, file: keys}}
defaults: {use: {authn: {apiKeys: {header: X-Three, file: keys}}}}
routes:
  - {name: a, upstream: app, match: {pathPrefix: /a}, use: {authn: used}}
  - {name: b, upstream: app, use: {authn: {apiKeys: {file: keys}}}}
telemetry: {logs: {redact: [cookie]}}
`
	f, err := Parse("sidecar.yaml", []byte(doc), Options{ReadFile: func(string) ([]byte, error) { return nil, nil }})
	if err != nil {
		t.Fatal(err)
	}
	got := f.RedactedLogs().Redact
	slices.Sort(got)
	want := []string{"X-API-Key", "X-One", "X-Three", "X-Two", "cookie"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("redacted (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"cookie"}, f.Telemetry.Logs.Redact); diff != "" {
		t.Errorf("telemetry.logs.redact itself (-want +got):\n%s", diff)
	}
}
