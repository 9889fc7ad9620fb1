package proxy

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"sidecar/internal/authz"
	"sidecar/internal/exchange"
	"sidecar/internal/policy"
)

// An upstream may read X_Api_Key as X-Api-Key, and a trailer as a header: of
// all that a client calls its key, the upstream sees at most the one that was
// proven.
func TestWhatTheUpstreamSeesOfAnAPIKey(t *testing.T) {
	const key = "sk_0123456789abcdef0123456789abcdef0123456789A"
	entry, err := authz.APIKeyEntry(key, "nightly", []string{"reader"})
	if err != nil {
		t.Fatal(err)
	}
	up := service(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, len(body(t, &http.Response{Body: r.Body})))
		var got []string
		for name, values := range r.Header {
			if strings.Contains(strings.ToLower(name), "key") || name == "X-User" {
				got = append(got, name+": "+strings.Join(values, ","))
			}
		}
		for name, values := range r.Trailer {
			got = append(got, "trailer "+name+": "+strings.Join(values, ","))
		}
		slices.Sort(got)
		fmt.Fprintf(w, " %q", got)
	})
	const text = `
version: v1
upstreams: {app: {endpoints: [{url: "${UPSTREAM}"}]}}
policies:
  authn:
    hidden: {apiKeys: {file: keys}, forwardClaims: {X-User: subject}, optional: true}
    shown: {apiKeys: {file: keys, forward: true}, forwardClaims: {X-User: subject}, optional: true}
routes:
  - {name: hidden, match: {pathPrefix: /hidden}, upstream: app, use: {authn: hidden}}
  - {name: shown, match: {pathPrefix: /shown}, upstream: app, use: {authn: shown}}
`
	saw := newSeen()
	p := New(Options{Observers: exchange.Observers{saw}})
	t.Cleanup(p.Close)
	f, err := policy.Parse("test.yaml", []byte(text), policy.Options{
		LookupEnv: func(string) (string, bool) { return up, true },
		ReadFile:  func(string) ([]byte, error) { return []byte(entry), nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Apply(f); err != nil {
		t.Fatal(err)
	}
	url := listen(t, p)
	const spellings = "X_Api_Key: evil\nX.api.key: evil\nX-User: root\nConnection: X-User\n"
	tests := []struct{ name, path, header, who, want string }{
		{"a key", "/hidden", spellings + "X-API-Key: " + key, "nightly", `1 ["X-User: nightly"]`},
		{"nobody's", "/hidden", spellings, "", `1 []`},
		{"a key for the connection alone", "/hidden", "Connection: X-Api-Key\nX-API-Key: " + key, "", `1 []`},
		{"a key that is forwarded", "/shown", spellings + "X-API-Key: " + key, "nightly", `1 ["X-Api-Key: ` + key + `" "X-User: nightly"]`},
		{"nobody's, where keys are forwarded", "/shown", spellings, "", `1 []`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := dial(t, url)
			c.say("POST " + tt.path + " HTTP/1.1\nHost: h\nTransfer-Encoding: chunked\n" + strings.TrimSpace(tt.header) + "\n\n" +
				"1\nx\n0\nX-Api-Key: evil\n\n")
			if got := body(t, c.answer(t, "POST")); got != tt.want {
				t.Errorf("the upstream sees %s, want %s", got, tt.want)
			}
			who, e := "", saw.next(t)
			if e.Principal != nil {
				who = e.Principal.Subject
			}
			pass := slices.ContainsFunc(e.Decisions, func(d exchange.Decision) bool {
				return d.Kind == exchange.Authn && d.Outcome == exchange.Pass
			})
			if who != tt.who || !pass {
				t.Errorf("principal %q, authn passes: %v; want %q and true", who, pass, tt.who)
			}
		})
	}
}
