package policy

import (
	"strings"
	"testing"
)

func TestExpand(t *testing.T) {
	env := map[string]string{"A": "1", "EMPTY": "", "TRICK": "${A}: {x: y}", "BAD": "\xff"}
	lookup := func(name string) (string, bool) {
		v, ok := env[name]
		return v, ok
	}
	tests := []struct{ written, want, problem string }{
		{"plain", "plain", ""},
		{"${A}", "1", ""},
		{"a${A}b${A}", "a1b1", ""},
		{"${A:-x}", "1", ""},
		{"${EMPTY}", "", ""},
		{"${EMPTY:-x}", "x", ""},
		{"${NONE:-}", "", ""},
		{"${NONE:-a:-b}", "a:-b", ""},
		{"${TRICK}", "${A}: {x: y}", ""},
		{"$$", "$", ""},
		{"$${A}", "${A}", ""},
		{"$$${A}", "$1", ""},
		{"^[0-9]+$", "^[0-9]+$", ""},
		{"$A $", "$A $", ""},
		{"${NONE}", "", "not set: NONE"},
		{"${BAD}", "", "variable BAD must hold UTF-8"},
		{"${A", "", "must close ${"},
		{"${}", "", "must name a variable"},
		{"${A B}", "", "must name a variable"},
		{"${A:?x}", "", "must name a variable"},
		{"${NONE:-${A}}", "", "must name a variable"},
	}
	for _, tt := range tests {
		e := expand(tt.written, lookup)
		problem := strings.Join(e.problem, "; ")
		if len(e.unset) > 0 {
			problem = "not set: " + strings.Join(e.unset, ", ")
		}
		if tt.problem == "" && (e.text != tt.want || problem != "") {
			t.Errorf("expand(%q) = %q, %s, want %q", tt.written, e.text, problem, tt.want)
		}
		if !strings.HasPrefix(problem, tt.problem) || tt.problem != "" && problem == "" {
			t.Errorf("expand(%q): problem %q, want %q", tt.written, problem, tt.problem)
		}
	}
}

func TestExpandWithoutVariables(t *testing.T) {
	if e := expand("a${A}", nil); !e.unknown || len(e.problem) > 0 {
		t.Errorf("expand(${A}) offline = %+v, want it unknown", e)
	}
	if e := expand("a${A:-b}", nil); e.unknown || e.text != "ab" {
		t.Errorf("expand(${A:-b}) offline = %+v, want its default", e)
	}
}

func TestNearest(t *testing.T) {
	known := []string{"maxAttempts", "retryOn", "url", "key", "perTryTimeout"}
	tests := []struct{ word, want string }{
		{"max_attempts", "maxAttempts"},
		{"max-attempts", "maxAttempts"},
		{"MAXATTEMPTS", "maxAttempts"},
		{"maxAttemps", "maxAttempts"},
		{"maxRetries", ""},
		{"rteryOn", "retryOn"},
		{"URL", "url"},
		{"uri", "url"},
		{"on", ""},
		{"k", ""},
		{"", ""},
		{"keys", "key"},
		{strings.Repeat("x", 500), ""},
	}
	for _, tt := range tests {
		if got := nearest(tt.word, known); got != tt.want {
			t.Errorf("nearest(%q) = %q, want %q", tt.word, got, tt.want)
		}
	}
}

func TestCovers(t *testing.T) {
	path := func(p string) Match { return Match{Path: p} }
	prefix := func(p string) Match { return Match{PathPrefix: p} }
	host := func(h string) Match { return Match{Host: h} }
	methods := func(m ...string) Match { return Match{Methods: m} }
	headers := func(kv ...string) Match { return Match{Headers: map[string]string{kv[0]: kv[1]}} }
	all := Match{}

	yes, no := true, false
	tests := []struct {
		want      bool
		why       string
		wide, few Match
	}{
		{yes, "everything", all, path("/a")},
		{yes, "everything twice", all, all},
		{yes, "the root", prefix("/"), path("/a")},
		{yes, "the root itself", prefix("/"), prefix("/")},
		{no, "the root and no path", prefix("/"), all},
		{yes, "the same path", path("/a"), path("/a")},
		{no, "a path and a prefix", path("/a"), prefix("/a")},
		{yes, "a prefix and its path", prefix("/a"), path("/a")},
		{yes, "below a prefix", prefix("/a"), path("/a/b")},
		{yes, "a longer prefix", prefix("/a"), prefix("/a/b")},
		{no, "a word that begins alike", prefix("/a"), path("/ab")},
		{no, "a shorter prefix", prefix("/a/b"), prefix("/a")},
		{yes, "below a prefix with a slash", prefix("/a/"), path("/a/b")},
		{no, "beside a prefix with a slash", prefix("/a/"), path("/a")},
		{yes, "fewer methods", methods("GET", "PUT"), methods("GET")},
		{no, "more methods", methods("GET"), methods("GET", "PUT")},
		{no, "any method", methods("GET"), all},
		{yes, "the same host in other letters", host("A.com"), host("a.COM")},
		{yes, "a host below", host("*.com"), host("a.com")},
		{yes, "a wildcard below", host("*.com"), host("*.a.com")},
		{yes, "a host with the dot that may end a name", host("a.com"), host("A.com.")},
		{yes, "an address spelled otherwise", host("::1"), host("0:0::1")},
		{no, "the host itself", host("*.a.com"), host("a.com")},
		{no, "a wildcard above", host("*.a.com"), host("*.com")},
		{no, "any host", host("a.com"), all},
		{yes, "any value", headers("X-A", "*"), headers("x-a", "1")},
		{no, "one value", headers("X-A", "1"), headers("x-a", "*")},
		{no, "another header", headers("X-A", "*"), headers("X-B", "*")},
	}
	for _, tt := range tests {
		if got := tt.wide.covers(tt.few); got != tt.want {
			t.Errorf("%s: %+v covers %+v = %v, want %v", tt.why, tt.wide, tt.few, got, tt.want)
		}
	}
}
