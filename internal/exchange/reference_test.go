package exchange

import (
	"fmt"
	"strings"
	"testing"

	"sidecar/internal/golden"
)

// docs/reasons.md is what the reason table says.
func TestReferenceIsCurrent(t *testing.T) {
	var answered, told strings.Builder
	for _, c := range constants(t) {
		if c.silent {
			if c.comment == "" {
				t.Errorf("%s has no comment that says what it means", c.name)
			}
			fmt.Fprintf(&told, "| `%s` | %s |\n", c.reason, c.comment)
			continue
		}
		a := c.reason.Answer()
		fmt.Fprintf(&answered, "| `%s` | %d | %d | %s | `%s` | `%s` |\n", c.reason, a.Status, a.GRPC, a.Title, a.Type, a.Proxy)
	}
	golden.File(t, "../../docs/reasons.md", `# Reasons

Generated from the reason table by `+"`make docs`"+`.

A reason says in one word why a decision fell as it did. It stands in problem
documents, metrics and logs, and is never renamed.

## Those that answer a client

A refusal is a problem document (RFC 9457) with this status, title and type; a
gRPC call ends with this gRPC status instead. The last column is the `+"`error`"+` of
`+"`Proxy-Status`"+` (RFC 9209); `+"`upstream_connect`"+` and `+"`upstream_connect_timeout`"+` tell more where more is known: `+"`connection_refused`"+`,
`+"`connection_timeout`"+`, `+"`connection_terminated`"+`, `+"`dns_error`"+`, `+"`dns_timeout`"+`, `+"`destination_ip_unroutable`"+`,
`+"`tls_certificate_error`"+`, `+"`tls_protocol_error`"+` or `+"`tls_alert_received`"+`, the last also `+"`upstream_reset`"+`. `+fmt.Sprintf("%d", StatusClientClosed)+` is never sent: the client left before its answer.

| reason | status | gRPC | title | problem type | Proxy-Status |
|---|---|---|---|---|---|
`+answered.String()+`
## Those that are only told

They stand in metrics and logs and never answer a client. Beside them a retry
tells the word of its `+"`retryOn`"+` that was met.

| reason | meaning |
|---|---|
`+told.String())
}
