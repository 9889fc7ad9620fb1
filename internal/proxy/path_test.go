package proxy

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"strings"
	"testing"
)

func TestStrictPathsRefuseWhatCanBeReadTwoWays(t *testing.T) {
	tests := []struct {
		target string
		refuse bool
	}{
		{"/", false},
		{"/v1/orders/42", false},
		{"/v1/orders/", false},
		{"/a%20b/%C3%BC", false},
		{"/matrix;v=1/x", false},
		{"/file.name/..hidden/...", false},
		{"http://host/v1/orders", false},
		{"/v1/../admin", true},
		{"/v1/..", true},
		{"/v1/%2e%2e/admin", true},
		{"/v1/%2E./admin", true},
		{"/./v1", true},
		{"//v1", true},
		{"/v1//orders", true},
		{"/v1%2forders", true},
		{"/v1%2Forders", true},
		{"/v1%5corders", true},
		{`/v1\orders`, true},
		{"/v1%00", true},
		{"/v1%0aorders", true},
		{"/v1/a|b", true},
		{"/v1/{id}", true},
		{"/v1/<x>", true},
		{"/v1/\xfc", true},
		{"/v1#x", true},
		{"http://host//v1", true},
		{"/v1/..;/admin", true},
		{"/v1/%2e%2e;x/admin", true},
		{"/v1/;x/admin", true},
		{"/v1/%c0%ae%c0%ae/admin", true},
		{"/v1%C0%AFadmin", true},
		{"/v1%e0%80%af", true},
		{"/v1%f0%80%80%af", true},
		{"/%e9t%e9", false}, // Latin-1 is old, and can be read in one way
		{"/%e2%82%ac/%f0%9f%98%80", false},
	}
	for _, tt := range tests {
		t.Run(tt.target, func(t *testing.T) {
			r := request(t, tt.target)
			if got := ambiguity(r); (got != "") != tt.refuse {
				t.Errorf("ambiguity(%q) = %q, want refused %v", tt.target, got, tt.refuse)
			}
		})
	}
}

// request returns a server's view of GET target.
func request(t testing.TB, target string) *http.Request {
	t.Helper()
	u, err := url.ParseRequestURI(target)
	if err != nil {
		t.Skip("net/http refuses it by itself:", err)
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.RequestURI, r.URL = target, u
	return r
}

// HTTP/2 can carry what HTTP/1 cannot: an upstream would take the target for
// another one, or its end for the version.
func TestATargetWithASpaceIsRefused(t *testing.T) {
	for _, paths := range []string{"strict", "raw"} {
		p, _ := apply(t, "version: v1\nserver: {paths: "+paths+"}\nupstreams: {app: {endpoints: [{url: \"${UPSTREAM}\"}]}}\nroutes: [{name: all, upstream: app}]\n",
			service(t, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%s: forwarded as %s", paths, r.RequestURI) }))
		for _, target := range []string{"/admin x", "/admin HTTP/1.1", "/a?b HTTP/1.0"} {
			r := request(t, target)
			r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/2.0", 2, 0
			w := httptest.NewRecorder()
			p.ServeHTTP(w, r)
			// Go's own upstreams refuse it as well, in their words.
			if got := w.Body.String(); w.Code != http.StatusBadRequest || !strings.Contains(got, "path_ambiguous") {
				t.Errorf("%s: %q gets %d %s, want 400 path_ambiguous", paths, target, w.Code, got)
			}
		}
	}
}

// A path that passes is read alike by whoever cleans, decodes or merges it.
func FuzzStrictPathHasOneReading(f *testing.F) {
	for _, seed := range []string{"/v1/orders", "/v1/%2e%2e/x", "/a//b", "/a%2fb", "/%252e", "/a;b/c", "/ü"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, target string) {
		if !strings.HasPrefix(target, "/") || strings.ContainsAny(target, "?") {
			t.Skip()
		}
		r := request(t, target)
		if ambiguity(r) != "" {
			return
		}
		decoded := r.URL.Path
		if clean := path.Clean(decoded); clean != decoded && clean+"/" != decoded {
			t.Errorf("%q passes, and cleaning makes %q of %q", target, clean, decoded)
		}
		if strings.ContainsAny(decoded, "\\\x00") || strings.Count(decoded, "/") != strings.Count(target, "/") {
			t.Errorf("%q passes, and decodes to %q", target, decoded)
		}
	})
}
