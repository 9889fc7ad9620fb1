package policy

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The audit file is opened once; the files of admin's tokens are followed.
func TestWhatOfAuditAndAdminAuthNeedsARestart(t *testing.T) {
	const (
		base = `version: v1
upstreams: {orders: {endpoints: [{url: "http://127.0.0.1:3000"}]}}
routes: [{name: all, upstream: orders}]
`
		audited = base + `telemetry: {audit: {file: /a.jsonl}}`
		tokens  = base + `server: {adminAuth: {tokens: [{name: ci, file: ci.token}]}}`
	)
	tests := []struct {
		name, before, after string
		token               string
		want                []string
	}{
		{"nothing", audited, audited, "", nil},
		{"an audit is added", base, audited, "", []string{"telemetry.audit changed: needs a restart"}},
		{"it is removed", audited, base, "", []string{"telemetry.audit changed: needs a restart"}},
		{"another queue", audited, base + `telemetry: {audit: {file: /a.jsonl, queue: 5}}`, "", []string{"telemetry.audit changed: needs a restart"}},
		{"the same token", tokens, tokens, "", nil},
		{"another token in the file", tokens, tokens, "x", []string{"server.adminAuth changed"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			read := func(suffix string) Options {
				return Options{ReadFile: func(string) ([]byte, error) { return []byte("token-token-token" + suffix), nil }}
			}
			before := parse(t, tt.before, read(""))
			got := Diff(before, before, parse(t, tt.after, read(tt.token)))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Diff (-want +got):\n%s", diff)
			}
		})
	}
}
