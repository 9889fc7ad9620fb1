package proxy

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// What the upstream does not read as our rules did gets past them.
func TestARequestHasOneReading(t *testing.T) {
	up := service(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, slices.Sorted(maps.Keys(r.Header)))
	})
	const text = `
version: v1
server: {paths: PATHS}
upstreams: {app: {endpoints: [{url: "${UPSTREAM}"}]}}
policies:
  authz:
    nobody: {}
    tame: {rules: [{effect: allow, when: {headers: {X-Mode: read}}}]}
    most:
      default: allow
      rules:
        - {effect: deny, when: {methods: [DELETE]}}
        - {effect: deny, when: {hosts: [admin.h]}}
routes:
  - {name: admin, match: {pathPrefix: /admin}, upstream: app, use: {authz: nobody}}
  - {name: tame, match: {pathPrefix: /tame}, upstream: app, use: {authz: tame}}
  - {name: most, upstream: app, use: {authz: most}}
`
	strict, _ := apply(t, strings.Replace(text, "PATHS", "strict", 1), up)
	raw, _ := apply(t, strings.Replace(text, "PATHS", "raw", 1), up)
	urls := map[string]string{"strict": listen(t, strict), "raw": listen(t, raw)}
	tests := []struct {
		name  string
		paths string
		head  string
		want  int
	}{
		{"a field that an allow rule asks for", "strict", "GET /tame HTTP/1.1\nHost: h\nX-Mode: read", 200},
		{"one that goes no further", "strict", "GET /tame HTTP/1.1\nHost: h\nX-Mode: read\nConnection: close, x-mode", 403},

		{"a method", "strict", "DELETE / HTTP/1.1\nHost: h", 403},
		{"a method in small letters", "strict", "delete / HTTP/1.1\nHost: h", 405},
		{"TRACE in small letters", "strict", "trace / HTTP/1.1\nHost: h", 405},
		{"a method of one's own", "strict", "M-SEARCH / HTTP/1.1\nHost: h", 200},

		{"a host", "strict", "GET / HTTP/1.1\nHost: admin.h:80", 403},
		{"a host and an empty port", "strict", "GET / HTTP/1.1\nHost: admin.h:", 403},
		{"two ports", "strict", "GET / HTTP/1.1\nHost: admin.h:1:2", 400},
		{"a port that is none", "strict", "GET / HTTP/1.1\nHost: admin.h:x", 400},
		{"two dots", "strict", "GET / HTTP/1.1\nHost: admin.h..", 400},
		{"half an address", "strict", "GET / HTTP/1.1\nHost: [admin.h", 400},
		{"a name in brackets", "strict", "GET / HTTP/1.1\nHost: [admin.h]", 400},
		{"an address", "strict", "GET / HTTP/1.1\nHost: [::1]:80", 200},

		{"a parameter", "strict", "GET /x;y HTTP/1.1\nHost: h", 200},
		{"a parameter that hides a route", "strict", "GET /admin;x/a HTTP/1.1\nHost: h", 400},
		{"a parameter within a route", "strict", "GET /admin/a;x HTTP/1.1\nHost: h", 403},
		{"an empty segment", "raw", "GET //x HTTP/1.1\nHost: h", 200},
		{"an empty segment that hides a route", "raw", "GET //admin HTTP/1.1\nHost: h", 400},
		{"a climb out of a route", "raw", "GET /tame/../admin HTTP/1.1\nHost: h\nX-Mode: read", 400},
		{"a climb before decoding", "raw", "GET /tame%2fx/../admin HTTP/1.1\nHost: h\nX-Mode: read", 400},
		{"what is no path", "raw", "GET /admin#/x HTTP/1.1\nHost: h", 400},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := dial(t, urls[tt.paths])
			c.say(tt.head + "\n\n")
			resp := c.answer(t, "GET")
			if got := body(t, resp); resp.StatusCode != tt.want {
				t.Errorf("%q is %d %s, want %d", tt.head, resp.StatusCode, got, tt.want)
			}
		})
	}
}

// Who switches authn off for a while has not asked for clients that call
// themselves what they like.
func TestWhatNamesACallerIsOursEvenWhenNobodySaysIt(t *testing.T) {
	up := service(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Header.Get("X-User")+r.Header.Get("X-Scope")+r.Header.Get("X-Inline")+r.Header.Get("X-Client"))
	})
	const text = `
version: v1
upstreams: {app: {endpoints: [{url: "${UPSTREAM}"}]}}
policies:
  authn: {off: {mode: disabled, clientCertificates: true, forwardClaims: {x-user: subject}}}
  authz: {opa: {external: {url: "http://127.0.0.1:1/", toUpstream: [X-Scope]}}}
routes:
  - {name: inline, match: {path: /inline}, upstream: app, use: {authn: {mode: disabled, clientCertificates: true, forwardClaims: {X-Inline: subject}}}}
  - {name: all, upstream: app, use: {authn: off}}
`
	p, _ := apply(t, text, up)
	req, err := http.NewRequest(http.MethodGet, listen(t, p), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"X-User", "X-Scope", "X-Inline"} {
		req.Header.Set(name, "root")
	}
	req.Header.Set("X-Client", "me")
	resp, err := client(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if got := body(t, resp); got != "me" {
		t.Errorf("the upstream sees %q, want what is none of ours, me", got)
	}
}
