package exchange

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPathGlob(t *testing.T) {
	tests := []struct {
		pattern string
		match   []string
		not     []string
	}{
		{"/", []string{"/"}, []string{"", "/a", "//", "*"}},
		{"/a/b", []string{"/a/b"}, []string{"/a", "/a/b/", "/a/bc", "/A/b", "a/b", "/a//b"}},
		{"/a/*", []string{"/a/b", "/a/", "/a/%2F"}, []string{"/a", "/a/b/c", "/b/a"}},
		{"/a/*/c", []string{"/a/b/c", "/a//c"}, []string{"/a/c", "/a/b/b/c"}},
		{"/a/x*y", []string{"/a/xy", "/a/x-y", "/a/xyy"}, []string{"/a/x", "/a/xyz", "/a/x/y"}},
		{"/*a*b*", []string{"/ab", "/xaxbx"}, []string{"/ba", "/a/b"}},
		{"/a*a", []string{"/aa", "/aba"}, []string{"/a"}},
		{"/a**b", []string{"/ab", "/axb"}, []string{"/a/b"}},
		{"/**", []string{"/", "/a", "/a/b/c", "//"}, []string{"", "a"}},
		{"/a/**", []string{"/a", "/a/", "/a/b/c"}, []string{"/ab", "/b/a"}},
		{"/**/z", []string{"/z", "/a/z", "/a/z/z"}, []string{"/", "/z/a", "/az"}},
		{"/a/**/m/*/**/z", []string{"/a/m/n/z", "/a/b/m/n/o/z", "/a/m/m/n/z"}, []string{"/a/m/z", "/a/n/n/z"}},
		{"/a/**/**/b", []string{"/a/b", "/a/x/y/b"}, []string{"/a", "/a/b/c"}},
	}
	for _, tt := range tests {
		g := NewPathGlob(tt.pattern)
		for _, path := range tt.match {
			if !g.Match(path) {
				t.Errorf("%s does not match %s, want a match", tt.pattern, path)
			}
		}
		for _, path := range tt.not {
			if g.Match(path) {
				t.Errorf("%s matches %s, want none", tt.pattern, path)
			}
		}
	}
}

func TestWildcard(t *testing.T) {
	tests := []struct {
		pattern, s string
		want       bool
	}{
		{"", "", true},
		{"", "a", false},
		{"*", "", true},
		{"*", "a/b", true},
		{"spiffe://a/*", "spiffe://a/b/c", true},
		{"spiffe://a/*", "spiffe://b/", false},
		{"a*b*c", "abbc", true},
		{"a*b*c", "acb", false},
		{"ab*ba", "aba", false},
	}
	for _, tt := range tests {
		if got := newWildcard(tt.pattern).match(tt.s); got != tt.want {
			t.Errorf("%q matches %q: %v, want %v", tt.pattern, tt.s, got, tt.want)
		}
	}
}

// Within a segment ** would be *, and a deny rule on /admin** let /admin/x by.
func TestTwoStarsAreASegmentOfTheirOwn(t *testing.T) {
	for pattern, want := range map[string]bool{
		"/**":         true,
		"/admin/**":   true,
		"/**/admin/*": true,
		"/a/**/b*/**": true,
		"/*a*":        true,
		"/admin**":    false,
		"/a**/b":      false,
		"/a/**.php":   false,
		"/***":        false,
		"/**/a**b/**": false,
	} {
		var got []string
		Paths(func(field, problem string) { got = append(got, field+": "+problem) }, "paths", []string{"/", pattern})
		problems := []string{fmt.Sprintf("paths[1]: must have ** as a segment of its own, as in /admin/**, got %q", pattern)}
		if want {
			problems = nil
		}
		if diff := cmp.Diff(problems, got); diff != "" {
			t.Errorf("problems of %s (-want +got):\n%s", pattern, diff)
		}
	}
}

// A pattern that would take exponential time with plain backtracking; the
// test would not end.
func TestMatchingDoesNotBlowUp(t *testing.T) {
	g := NewPathGlob("/" + strings.Repeat("**/a*a*a*a*a*a*a*a*b/", 50) + "z")
	if g.Match("/" + strings.Repeat(strings.Repeat("a", 100)+"/", 80)) {
		t.Error("the pattern matches, want none")
	}
}

// FuzzPathGlob compares us with the regular expression that says the same.
func FuzzPathGlob(f *testing.F) {
	for _, seed := range [][2]string{{"/a/**/b*c", "/a/x/bcc"}, {"/**/**", "//"}, {"/*", "/%2f"}, {"/a/**", "/a"}, {"/**/a/*/b/**", "/a/a/b/b"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, path string) {
		if !strings.HasPrefix(pattern, "/") || !strings.HasPrefix(path, "/") || len(pattern) > 100 || len(path) > 1000 {
			return
		}
		got := NewPathGlob(pattern).Match(path)
		re, err := regexp.Compile(regex(pattern))
		if err != nil {
			return // bytes that are no UTF-8
		}
		if want := re.MatchString(path); got != want && strings.ToValidUTF8(path+pattern, "") == path+pattern {
			t.Errorf("%q matches %q: %v, want %v (%s)", pattern, path, got, want, re)
		}
	})
}

func regex(pattern string) string {
	var b strings.Builder
	b.WriteString(`(?s)^`)
	for segment := range strings.SplitSeq(pattern[1:], "/") {
		if segment == "**" {
			b.WriteString(`(/[^/]*)*`)
			continue
		}
		b.WriteString("/" + strings.ReplaceAll(regexp.QuoteMeta(segment), `\*`, `[^/]*`))
	}
	return b.String() + `$`
}
