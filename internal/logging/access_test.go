package logging

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"sidecar/internal/exchange"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// line returns what is written of r.
func line(t *testing.T, c Config, r *exchange.Record) string {
	t.Helper()
	var out bytes.Buffer
	New(&out, c).End(t.Context(), r)
	return out.String()
}

// with returns the record of a served request, changed.
func with(changes ...func(*exchange.Record)) *exchange.Record {
	r := record()
	for _, change := range changes {
		change(r)
	}
	return r
}

func status(code int) func(*exchange.Record) {
	return func(r *exchange.Record) { r.Status = code }
}

func because(reason exchange.Reason) func(*exchange.Record) {
	return func(r *exchange.Record) { r.Reason = reason }
}

func decided(d exchange.Decision) func(*exchange.Record) {
	return func(r *exchange.Record) { r.Note(d) }
}

func TestLineOfRequest(t *testing.T) {
	tests := []struct {
		name   string
		format string
		record *exchange.Record
		want   string
	}{
		{
			"one that was served", "json", with(),
			`{"time":"2026-03-01T12:00:00.001234567Z","level":"INFO","msg":"request","request_id":"req-1",` +
				`"method":"GET","path":"/v1/orders/42","host":"api.example.com","proto":"HTTP/1.1","route":"orders",` +
				`"upstream":"orders","status":200,"bytes_in":12,"bytes_out":345,"duration_ms":1.234,"upstream_ms":0.9,"attempts":1,"client":"203.0.113.7"}`,
		},
		{
			"one that was refused, with who asked and who decided", "json",
			with(status(403), because(exchange.RuleDenied), decided((&exchange.Refusal{
				Kind: exchange.Authz, Policy: "rbac", Reason: exchange.RuleDenied, Detail: `rule "suspended"`, Line: 41,
			}).Decision()), func(r *exchange.Record) {
				r.Upstream, r.Client = "", netip.Addr{}
				r.Identify(&exchange.Principal{Subject: "alice", By: exchange.ByAPIKey, Claims: map[string]any{"email": "alice@example.com"}})
			}),
			`{"time":"2026-03-01T12:00:00.001234567Z","level":"INFO","msg":"request","request_id":"req-1",` +
				`"method":"GET","path":"/v1/orders/42","host":"api.example.com","proto":"HTTP/1.1","route":"orders",` +
				`"status":403,"reason":"rbac_denied","bytes_in":12,"bytes_out":345,"duration_ms":1.234,"upstream_ms":0.9,"attempts":1,` +
				`"principal":"alice","credential":"apiKey",` +
				`"decisions":[{"kind":"authz","policy":"rbac","outcome":"refuse","reason":"rbac_denied","detail":"rule \"suspended\"","line":41}]}`,
		},
		{
			"one that was retried, as text", "text",
			with(decided(exchange.Decision{Kind: exchange.Retry, Policy: "safe", Outcome: exchange.Act, Reason: "503", Line: 41, Detail: "after 25ms"})),
			`time=2026-03-01T12:00:00.001Z level=INFO msg=request request_id=req-1 ` +
				`method=GET path=/v1/orders/42 host=api.example.com proto=HTTP/1.1 route=orders ` +
				`upstream=orders status=200 bytes_in=12 bytes_out=345 duration_ms=1.234 upstream_ms=0.9 attempts=1 client=203.0.113.7 ` +
				`decisions="[retry/safe act 503 (line 41): after 25ms]"`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := defaults()
			c.Format = tt.format
			if diff := cmp.Diff(tt.want+"\n", line(t, c, tt.record)); diff != "" {
				t.Errorf("line (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhichRequestsHaveALine(t *testing.T) {
	const all, errors, none = "all", "errors", "none"
	shadow := exchange.Decision{Kind: exchange.RateLimit, Outcome: exchange.Shadow, Reason: exchange.RateLimited}
	tests := []struct {
		name   string
		access string
		level  string
		record *exchange.Record
		want   string // the level; empty for no line
	}{
		{"all: one that was served", all, "info", with(), "INFO"},
		{"all: a 503 is news, not our error", all, "info", with(status(503), because(exchange.BreakerOpen)), "INFO"},
		{"all: a failure of the proxy is our error", all, "info", with(status(500), because(exchange.InternalError)), "ERROR"},
		{"all: level warn has no use for it", all, "warn", with(), ""},
		{"all: level warn still hears of our error", all, "warn", with(status(500), because(exchange.InternalError)), "ERROR"},
		{"errors: one that was served", errors, "info", with(), ""},
		{"errors: 399", errors, "info", with(status(399)), ""},
		{"errors: 400", errors, "info", with(status(400)), "INFO"},
		{"errors: a client that left", errors, "info", with(status(exchange.StatusClientClosed)), "INFO"},
		{"errors: a body that broke after its 200", errors, "info", with(because(exchange.UpstreamBody)), "INFO"},
		{"errors: a 200 that a policy would have refused", errors, "info", with(decided(shadow)), "INFO"},
		{
			"errors: a 200 with a pass that has a reason", errors, "info",
			with(decided(exchange.Decision{Kind: exchange.ByProxy, Outcome: exchange.Pass, Reason: exchange.UpgradeIgnored})), "INFO",
		},
		{"none: a failure of the proxy", none, "debug", with(status(500), because(exchange.InternalError)), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := defaults()
			c.Access, c.Level = tt.access, tt.level
			got := line(t, c, tt.record)
			if tt.want == "" {
				if got != "" {
					t.Errorf("line = %q, want none", got)
				}
				return
			}
			if want := `"level":"` + tt.want + `"`; !strings.Contains(got, want) {
				t.Errorf("line = %q, want one with %s", got, want)
			}
		})
	}
}

func TestHeaderIsToldAtDebugWithoutSecrets(t *testing.T) {
	r := with(func(r *exchange.Record) {
		r.RequestHeader = http.Header{
			"Accept":              {"text/html", "text/plain"},
			"Authorization":       {"Bearer s3cret"},
			"Proxy-Authorization": {"Basic s3cret"},
			"Cookie":              {"a=s3cret", "b=s3cret"},
			"X-Api-Key":           {"s3cret"},
			"x-raw":               {"s3cret"}, // as a client of HTTP/2 would write it
		}
	})
	secret := []string{"***"}
	tests := []struct {
		name   string
		redact []string
		want   map[string][]string
	}{
		{"by default", defaults().Redact, map[string][]string{
			"Accept": {"text/html", "text/plain"}, "x-raw": {"s3cret"},
			"Authorization": secret, "Proxy-Authorization": secret, "Cookie": secret, "X-Api-Key": secret,
		}},
		{"by a list that forgets credentials", []string{"ACCEPT", "X-RAW", "x-api-key", "cookie"}, map[string][]string{
			"Accept": secret, "x-raw": secret,
			"Authorization": secret, "Proxy-Authorization": secret, "Cookie": secret, "X-Api-Key": secret,
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := defaults()
			c.Level, c.Redact = "debug", tt.redact
			var got struct{ Headers map[string][]string }
			if err := json.Unmarshal([]byte(line(t, c, r)), &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got.Headers); diff != "" {
				t.Errorf("headers (-want +got):\n%s", diff)
			}
			for _, format := range []string{"json", "text"} {
				c.Level, c.Format = "info", format
				if got := line(t, c, r); strings.Contains(got, "Accept") || strings.Contains(got, "s3cret") {
					t.Errorf("line at info = %q, want no header", got)
				}
			}
		})
	}
	if got := r.RequestHeader.Get("Authorization"); got != "Bearer s3cret" {
		t.Errorf("the request's own Authorization = %q, want it untouched", got)
	}
}

// FuzzEnd holds that what a client sends stays inside its field: one line,
// valid JSON, and the value that encoding/json would give back.
func FuzzEnd(f *testing.F) {
	f.Add("/v1/orders", "GET", "api.example.com", "X-Client", "web", "detail")
	f.Add("/a\"}\n{\"level\":\"ERROR\"", "G\rT", "\x00", "X\n", "\u2028</script>", "\\")
	f.Add("/\xff\xfe\xc3", "\x7f", "\xed\xa0\x80", "", "\x1b[31m", "\xf4\x90\x80\x80")
	f.Add("/", "GET", "h", "Referer", "https://shop.example/?s3cret", "")
	f.Add("/", "GET", "h", "x_api_key", "s3cret", "")
	f.Fuzz(func(t *testing.T, path, method, host, name, value, detail string) {
		r := with(
			func(r *exchange.Record) {
				r.Path, r.Method, r.Host = path, method, host
				r.RequestHeader = http.Header{name: {value}}
			},
			decided(exchange.Decision{Kind: exchange.Validation, Outcome: exchange.Refuse, Detail: detail}),
		)
		c := defaults()
		c.Level = "debug"
		got := line(t, c, r)
		if strings.Count(got, "\n") != 1 || !strings.HasSuffix(got, "\n") {
			t.Fatalf("line = %q, want one line", got)
		}
		type fields struct {
			Path, Method, Host string
			Decisions          []note
			Headers            map[string][]string
		}
		var have, want fields
		if err := json.Unmarshal([]byte(got), &have); err != nil {
			t.Fatalf("line = %q: %v", got, err)
		}
		shown := New(io.Discard, c).settings.Load().redacted(http.Header{name: {value}})
		plain, err := json.Marshal(fields{
			Path: path, Method: method, Host: host,
			Decisions: []note{{Kind: exchange.Validation, Outcome: exchange.Refuse, Detail: detail}},
			Headers:   shown,
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(plain, &want); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, have); diff != "" {
			t.Errorf("line = %q (-want +got):\n%s", got, diff)
		}

		c.Format = "text"
		if got := line(t, c, r); strings.Count(got, "\n") != 1 {
			t.Errorf("text line = %q, want one line", got)
		}
	})
}

func TestTimeIsWhenTheLastByteHadGone(t *testing.T) {
	r := with(func(r *exchange.Record) { r.Took = time.Hour })
	if got, want := line(t, defaults(), r), `{"time":"2026-03-01T13:00:00Z"`; !strings.HasPrefix(got, want) {
		t.Errorf("line = %q, want it to begin with %s", got, want)
	}
}

// What may be secret is so however it is spelled, and wherever it stands.
func TestSecretsAreFoundInEverySpelling(t *testing.T) {
	tests := []struct{ name, value, want string }{
		{"X_Api_Key", "s3cret", "***"},
		{"x_api-key", "s3cret", "***"},
		{"Proxy_authorization", "s3cret", "***"},
		{"SET_COOKIE", "s3cret", "***"},
		{"Referer", "https://shop.example/cart?token=s3cret", "https://shop.example/cart"},
		{"referer", "https://shop.example/cart?token=s3cret?s3cret", "https://shop.example/cart"},
		{"Referer", "https://shop.example/cart", "https://shop.example/cart"},
		{"X_Api", "no?secret", "no?secret"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := defaults()
			c.Level = "debug"
			var got struct{ Headers http.Header }
			r := with(func(r *exchange.Record) { r.RequestHeader = http.Header{tt.name: {tt.value}} })
			if err := json.Unmarshal([]byte(line(t, c, r)), &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(http.Header{tt.name: {tt.want}}, got.Headers); diff != "" {
				t.Errorf("headers (-want +got):\n%s", diff)
			}
		})
	}
}
