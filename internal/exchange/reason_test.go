package exchange

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// What clients and dashboards hold us to: a word is never renamed, and what it
// means never changes.
func TestReasonAnswers(t *testing.T) {
	const ours = "urn:sidecar:problem:"
	tests := []struct {
		reason       Reason
		word         string
		status, grpc int
		typ          string
	}{
		{PathAmbiguous, "path_ambiguous", 400, 3, ours + "path_ambiguous"},
		{LoopDetected, "loop_detected", 508, 13, ours + "loop_detected"},
		{NoRoute, "no_route", 404, 12, ours + "no_route"},
		{MethodNotAllowed, "method_not_allowed", 405, 3, ours + "method_not_allowed"},
		{URITooLong, "uri_too_long", 414, 3, ours + "uri_too_long"},
		{BodyTooLarge, "body_too_large", 413, 3, ours + "body_too_large"},
		{BadContentType, "bad_content_type", 415, 3, ours + "bad_content_type"},
		{HeaderMissing, "header_missing", 400, 3, ours + "header_missing"},
		{HeaderDenied, "header_denied", 400, 3, ours + "header_denied"},
		{QueryInvalid, "query_invalid", 400, 3, ours + "query_invalid"},
		{ParameterInvalid, "parameter_invalid", 400, 3, ours + "parameter_invalid"},
		{OperationUnknown, "operation_unknown", 404, 12, ours + "operation_unknown"},
		{BadEncoding, "bad_content_encoding", 415, 3, ours + "bad_content_encoding"},
		{BodyMalformed, "body_malformed", 400, 3, ours + "body_malformed"},
		{BodyTooComplex, "body_too_complex", 400, 3, ours + "body_too_complex"},
		{SchemaViolation, "schema_violation", 422, 3, ours + "schema_violation"},
		{BuffersFull, "buffers_full", 503, 14, ours + "buffers_full"},
		{TokenMissing, "token_missing", 401, 16, ours + "token_missing"},
		{TokenMalformed, "token_malformed", 400, 3, ours + "token_malformed"},
		{TokenInvalid, "token_invalid", 401, 16, ours + "token_invalid"},
		{TokenExpired, "token_expired", 401, 16, ours + "token_expired"},
		{IssuerUnknown, "issuer_unknown", 401, 16, ours + "issuer_unknown"},
		{CredentialMissing, "credential_missing", 401, 16, ours + "credential_missing"},
		{APIKeyInvalid, "api_key_invalid", 401, 16, ours + "api_key_invalid"},
		{CertificateInvalid, "certificate_invalid", 401, 16, ours + "certificate_invalid"},
		{JWKSUnavailable, "jwks_unavailable", 503, 14, ours + "jwks_unavailable"},
		{IntrospectionUnavailable, "introspection_unavailable", 503, 14, ours + "introspection_unavailable"},
		{RuleDenied, "rbac_denied", 403, 7, ours + "rbac_denied"},
		{NoAllowRule, "no_allow_rule", 403, 7, ours + "no_allow_rule"},
		{ExternalDenied, "external_denied", 403, 7, ours + "external_denied"},
		{AuthzUnavailable, "authz_unavailable", 503, 14, ours + "authz_unavailable"},
		{RateLimited, "rate_limited", 429, 8, "https://iana.org/assignments/http-problem-types#quota-exceeded"},
		{StoreUnavailable, "store_unavailable", 503, 14, ours + "store_unavailable"},
		{Overloaded, "overloaded", 503, 14, "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity"},
		{QueueTimeout, "queue_timeout", 503, 14, "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity"},
		{BreakerOpen, "breaker_open", 503, 14, ours + "breaker_open"},
		{BreakerProbeFull, "breaker_probe_full", 503, 14, ours + "breaker_probe_full"},
		{UpstreamConnect, "upstream_connect", 502, 14, ours + "upstream_connect"},
		{UpstreamReset, "upstream_reset", 502, 14, ours + "upstream_reset"},
		{UpstreamProtocol, "upstream_protocol", 502, 14, ours + "upstream_protocol"},
		{UpstreamTimeout, "upstream_timeout", 504, 4, ours + "upstream_timeout"},
		{DeadlineExceeded, "deadline_exceeded", 504, 4, ours + "deadline_exceeded"},
		{UpstreamConnectTimeout, "upstream_connect_timeout", 502, 14, ours + "upstream_connect_timeout"},
		{UpstreamTLSTimeout, "upstream_tls_timeout", 502, 14, ours + "upstream_tls_timeout"},
		{UpstreamHeaderTimeout, "upstream_header_timeout", 504, 4, ours + "upstream_header_timeout"},
		{PerTryTimeout, "per_try_timeout", 504, 4, ours + "per_try_timeout"},
		{MaxDuration, "max_duration", 504, 4, ours + "max_duration"},
		{ClientBody, "client_body", 400, 3, ours + "client_body"},
		{ClientTimeout, "client_timeout", 408, 3, ours + "client_timeout"},
		{ClientClosed, "client_closed", 499, 1, ours + "client_closed"},
		{FaultInjected, "fault_injected", 503, 14, ours + "fault_injected"},
		{Draining, "draining", 503, 14, ours + "draining"},
		{InternalError, "internal_error", 500, 13, ours + "internal_error"},
	}
	seen := map[Reason]bool{}
	for _, tt := range tests {
		if string(tt.reason) != tt.word {
			t.Errorf("a reason is called %q, want %q", tt.reason, tt.word)
		}
		got := tt.reason.Answer()
		want := Answer{Status: tt.status, Type: tt.typ, Title: got.Title, GRPC: tt.grpc, Proxy: got.Proxy}
		if got != want {
			t.Errorf("%s answers %+v, want %+v", tt.reason, got, want)
		}
		seen[tt.reason] = true
	}
	for reason := range answers {
		if !seen[reason] {
			t.Errorf("%s answers, and this table does not say how", reason)
		}
	}
}

// The error types are those that RFC 9209 section 2.3 registers.
func TestReasonsAreToldToProxies(t *testing.T) {
	registered := strings.Fields(`destination_not_found destination_unavailable connection_refused
		connection_limit_reached connection_terminated connection_timeout http_request_error http_request_denied http_response_timeout http_protocol_error
		proxy_internal_response proxy_internal_error proxy_loop_detected`)
	for reason, a := range answers {
		if !slices.Contains(registered, a.Proxy) {
			t.Errorf("%s is told as %q, want a registered error type", reason, a.Proxy)
		}
	}
}

// The gRPC code follows from the status, as docs promise it.
func TestGRPCFollowsStatus(t *testing.T) {
	byStatus := map[int]int{401: 16, 403: 7, 404: 12, 429: 8, 499: 1, 502: 14, 503: 14, 504: 4}
	for reason, a := range answers {
		want, ok := byStatus[a.Status]
		switch {
		case ok:
		case a.Status < 500:
			want = 3
		default:
			want = 13
		}
		if a.GRPC != want {
			t.Errorf("%s is %d and gRPC %d, want gRPC %d", reason, a.Status, a.GRPC, want)
		}
	}
}

func TestTitles(t *testing.T) {
	byTitle := map[string]Reason{}
	for reason, a := range answers {
		if a.Title == "" || strings.ContainsAny(a.Title, "%.\n") {
			t.Errorf("%s: title %q, want a constant phrase", reason, a.Title)
		}
		// A type has one title (RFC 9457 section 3.1.3), whichever reason it has.
		if other, ok := byTitle[a.Title]; ok && (a.Type == "" || a.Type != answers[other].Type) {
			t.Errorf("%s and %s have the same title", reason, other)
		}
		byTitle[a.Title] = reason
	}
}

func TestReasonsThatNeverAnswer(t *testing.T) {
	never := []Reason{"", "made_up"}
	names, told := map[Reason]string{}, 0
	for _, c := range constants(t) {
		if other, ok := names[c.reason]; ok {
			t.Errorf("%s and %s are the same word %q", c.name, other, c.reason)
		}
		names[c.reason] = c.name
		_, answers := answers[c.reason]
		switch {
		case answers && c.silent:
			t.Errorf("%s has a row in answers, but is said never to answer", c.name)
		case !answers && !c.silent:
			t.Errorf("%s has no row in answers, and is not among those that never answer", c.name)
		}
		if c.silent {
			never = append(never, c.reason)
		} else {
			told++
		}
	}
	if told != len(answers) {
		t.Errorf("answers has %d rows, want %d: one for each constant", len(answers), told)
	}
	if len(never) == 2 {
		t.Error("no constant is among those that never answer")
	}
	for _, reason := range never {
		if got, want := reason.Answer(), InternalError.Answer(); got != want {
			t.Errorf("%q answers %+v, want internal_error's %+v", reason, got, want)
		}
	}
}

// constant is a Reason in reason.go.
type constant struct {
	name    string
	reason  Reason
	comment string
	silent  bool // it never answers a client
}

// constants returns the Reasons in reason.go, in their order.
func constants(t *testing.T) (all []constant) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "reason.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range f.Decls {
		group, ok := d.(*ast.GenDecl)
		if !ok || group.Tok != token.CONST {
			continue
		}
		for _, s := range group.Specs {
			spec := s.(*ast.ValueSpec)
			if typ, ok := spec.Type.(*ast.Ident); !ok || typ.Name != "Reason" {
				continue
			}
			word, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, constant{
				name: spec.Names[0].Name, reason: Reason(word),
				comment: strings.TrimSpace(spec.Comment.Text()),
				silent:  strings.Contains(group.Doc.Text(), "never answer"),
			})
		}
	}
	return all
}

func TestClientFault(t *testing.T) {
	blamed := []Reason{BodyTooLarge, ClientBody, ClientClosed, ClientTimeout}
	for reason := range answers {
		if got, want := reason.ClientFault(), slices.Contains(blamed, reason); got != want {
			t.Errorf("%s is the client's fault on the wire: %v, want %v", reason, got, want)
		}
	}
}
