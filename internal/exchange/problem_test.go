package exchange

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

func TestRefusalResponse(t *testing.T) {
	tests := []struct {
		name    string
		refusal Refusal
		id      string
		status  int
		doc     map[string]any
	}{
		{
			"what is wrong with a body, and with a parameter",
			Refusal{
				Kind: Validation, Policy: "api", Reason: SchemaViolation, MoreErrors: 3,
				Errors: []Violation{{Pointer: new(""), Detail: "must have id"}, {In: "query", Name: "page", Detail: "is required"}},
			},
			"", 422,
			map[string]any{
				"type": typePrefix + "schema_violation", "title": "The body does not fit the schema", "status": 422.0,
				"reason": "schema_violation", "policy": "validation/api", "moreErrors": 3.0,
				"errors": []any{
					map[string]any{"pointer": "", "detail": "must have id"},
					map[string]any{"in": "query", "name": "page", "detail": "is required"},
				},
			},
		},
		{
			"all that is known",
			Refusal{
				Kind: RateLimit, Policy: "searches", Reason: RateLimited, Detail: "5 requests at most", Note: "key 10.0.0.1", Line: 7,
				Spent: []string{"searches", "all"},
			},
			"1313edaa-f25f-486d-aef1-03b0d5c3a222", 429,
			map[string]any{
				"type": quotaExceeded, "title": "The rate limit is spent", "status": 429.0, "detail": "5 requests at most",
				"instance": "urn:uuid:1313edaa-f25f-486d-aef1-03b0d5c3a222", "reason": "rate_limited",
				"policy": "rateLimit/searches", "requestId": "1313edaa-f25f-486d-aef1-03b0d5c3a222",
				"violated-policies": []any{"searches", "all"},
			},
		},
		{
			"no policy, no detail, no id",
			Refusal{Kind: ByRoute, Reason: NoRoute},
			"", 404,
			map[string]any{
				"type": "urn:sidecar:problem:no_route", "title": "No route matches the request", "status": 404.0, "reason": "no_route",
			},
		},
		{
			"a note is for the log only",
			Refusal{Kind: ByUpstream, Policy: "app", Reason: UpstreamConnect, Note: "dial tcp 10.1.2.3:80: refused"},
			"r-2", 502,
			map[string]any{
				"type": "urn:sidecar:problem:upstream_connect", "title": "The upstream cannot be reached", "status": 502.0,
				"reason": "upstream_connect", "policy": "upstream/app", "requestId": "r-2",
			},
		},
		{
			"what a client wrote is quoted",
			Refusal{Kind: Validation, Policy: "json", Reason: HeaderDenied, Detail: "a \"b\"\n<c>\x00\xff"},
			"r-3", 400,
			map[string]any{
				"type": "urn:sidecar:problem:header_denied", "title": "A header is not allowed", "status": 400.0,
				"detail": "a \"b\"\n<c>\x00\ufffd", "reason": "header_denied", "policy": "validation/json", "requestId": "r-3",
			},
		},
	}
	for _, tt := range tests {
		for _, method := range []string{"GET", "POST", "HEAD"} {
			t.Run(tt.name+" to "+method, func(t *testing.T) {
				r := httptest.NewRequest(method, "/", nil)
				resp := tt.refusal.Response(r, tt.id)
				body, err := io.ReadAll(resp.Body)
				if err != nil {
					t.Fatal(err)
				}
				if resp.StatusCode != tt.status || !strings.HasPrefix(resp.Status, strconv.Itoa(tt.status)+" ") || resp.Request != r {
					t.Errorf("status %d %q, want %d", resp.StatusCode, resp.Status, tt.status)
				}
				if got := resp.Header.Get("Content-Type"); got != "application/problem+json" {
					t.Errorf("Content-Type: %q", got)
				}
				length := resp.Header.Get("Content-Length")
				if length != strconv.FormatInt(resp.ContentLength, 10) || resp.ContentLength == 0 {
					t.Errorf("Content-Length: %s and %d, want the same, above 0", length, resp.ContentLength)
				}
				if method == "HEAD" {
					if len(body) > 0 {
						t.Errorf("HEAD has the body %q", body)
					}
					return
				}
				var doc map[string]any
				if err := json.Unmarshal(body, &doc); err != nil {
					t.Fatalf("the body %q: %v", body, err)
				}
				if !reflect.DeepEqual(doc, tt.doc) || len(body) != int(resp.ContentLength) {
					t.Errorf("problem %s of %d bytes, want %v of %s", body, len(body), tt.doc, length)
				}
			})
		}
	}
}

// Where a trusted peer names its requests in another way there is no URI for
// them: the member is not there, rather than wrong.
func TestOnlyAUUIDMakesAnInstance(t *testing.T) {
	for id, want := range map[string]string{
		"1313edaa-f25f-486d-aef1-03b0d5c3a222":  "urn:uuid:1313edaa-f25f-486d-aef1-03b0d5c3a222",
		"1313EDAA-F25F-486D-AEF1-03B0D5C3A222":  "urn:uuid:1313EDAA-F25F-486D-AEF1-03B0D5C3A222",
		"1313edaaf25f486daef103b0d5c3a222":      "",
		"1313edaa-f25f-486d-aef1-03b0d5c3a22g":  "",
		"1313edaa-f25f-486d-aef1.03b0d5c3a222":  "",
		"1313edaa-f25f-486d-aef1-03b0d5c3a2222": "",
		"1313edaa0f25f0486d0aef1003b0d5c3a222a": "",
		"req-42":                                "",
		"":                                      "",
	} {
		if got := instance(id); got != want {
			t.Errorf("instance(%q) = %q, want %q", id, got, want)
		}
	}
}

func TestRefusalResponseToGRPC(t *testing.T) {
	tests := []struct {
		reason  Reason
		detail  string
		code    string
		message string
	}{
		{TokenMissing, "", "16", "A token is required"},
		{NoAllowRule, "", "7", "No rule allows the request"},
		{RateLimited, "again in 1s", "8", "The rate limit is spent: again in 1s"},
		{UpstreamTimeout, "100% late", "4", "The upstream did not answer in time: 100%25 late"},
		{HeaderDenied, "a\nb\x7f", "3", "A header is not allowed: a%0Ab%7F"},
		{HeaderDenied, "Übel ~", "3", "A header is not allowed: %C3%9Cbel ~"},
		{"made_up", "", "13", "The proxy failed"},
	}
	for _, tt := range tests {
		r := httptest.NewRequest("POST", "/pkg.Service/Call", nil)
		r.ProtoMajor = 2
		r.Header.Set("Content-Type", "application/grpc+proto")
		resp := (&Refusal{Kind: Authn, Reason: tt.reason, Detail: tt.detail}).Response(r, "r-1")
		body, _ := io.ReadAll(resp.Body)
		want := http.Header{
			"Content-Type": {"application/grpc"}, "Grpc-Status": {tt.code}, "Grpc-Message": {tt.message},
		}
		if resp.StatusCode != 200 || len(body) > 0 || !reflect.DeepEqual(resp.Header, want) {
			t.Errorf("%s: %d %v %q, want 200 %v and no body", tt.reason, resp.StatusCode, resp.Header, body, want)
		}
		if back, err := url.PathUnescape(resp.Header.Get("Grpc-Message")); err != nil || !strings.HasSuffix(back, tt.detail) {
			t.Errorf("%s: the message reads %q, %v, want one that ends with %q", tt.reason, back, err, tt.detail)
		}
	}
}

// The header of a refusal is often made once for all requests.
func TestResponseSharesNoHeader(t *testing.T) {
	refusal := &Refusal{Kind: Authn, Reason: TokenMissing, Header: http.Header{"Www-Authenticate": {"Bearer"}}}
	for _, contentType := range []string{"text/plain", "application/grpc"} {
		r := httptest.NewRequest("POST", "/", nil)
		r.Header.Set("Content-Type", contentType)
		resp := refusal.Response(r, "")
		if got := resp.Header.Get("Www-Authenticate"); got != "Bearer" {
			t.Errorf("WWW-Authenticate: %q, want Bearer", got)
		}
		resp.Header["Www-Authenticate"][0] = "changed"
		resp.Header.Add("Www-Authenticate", "added")
		if want := (http.Header{"Www-Authenticate": {"Bearer"}}); !reflect.DeepEqual(refusal.Header, want) {
			t.Fatalf("the refusal's header is now %v, want %v", refusal.Header, want)
		}
	}
}

// A fallback answers for a refusal in other words, but keeps its reason.
func TestResponseAs(t *testing.T) {
	refusal := &Refusal{Kind: CircuitBreaker, Policy: "standard", Reason: BreakerOpen}
	resp := refusal.ResponseAs(Answer{Status: 418, Type: "about:blank", Title: "Tea", GRPC: 5}, httptest.NewRequest("GET", "/", nil), "")
	var doc problem
	if err := json.NewDecoder(resp.Body).Decode(&doc); err != nil {
		t.Fatal(err)
	}
	want := problem{Type: "about:blank", Title: "Tea", Status: 418, Reason: BreakerOpen, Policy: "circuitBreaker/standard"}
	if resp.StatusCode != 418 || !reflect.DeepEqual(doc, want) {
		t.Errorf("%d %+v, want 418 %+v", resp.StatusCode, doc, want)
	}
}

func TestRefusalError(t *testing.T) {
	tests := []struct {
		refusal  Refusal
		text     string
		decision Decision
	}{
		{
			Refusal{Kind: Authz, Policy: "orders", Reason: RuleDenied, Line: 3},
			"authz/orders: rbac_denied",
			Decision{Kind: Authz, Policy: "orders", Outcome: Refuse, Reason: RuleDenied, Line: 3},
		},
		{
			Refusal{Kind: ByRoute, Reason: NoRoute, Detail: "GET /x"},
			"route: no_route: GET /x",
			Decision{Kind: ByRoute, Outcome: Refuse, Reason: NoRoute, Detail: "GET /x"},
		},
		{
			Refusal{Kind: Authn, Policy: "users", Reason: TokenInvalid, Detail: "not valid", Note: "kid k1 is unknown"},
			"authn/users: token_invalid: not valid",
			Decision{Kind: Authn, Policy: "users", Outcome: Refuse, Reason: TokenInvalid, Detail: "kid k1 is unknown"},
		},
	}
	for _, tt := range tests {
		var back *Refusal
		err := fmt.Errorf("in a wrapper: %w", &tt.refusal)
		if !errors.As(err, &back) || back.Error() != tt.text {
			t.Errorf("the error is %v, want one of %q", err, tt.text)
		}
		if got := tt.refusal.Decision(); got != tt.decision {
			t.Errorf("%s is noted as %+v, want %+v", tt.text, got, tt.decision)
		}
	}
}
