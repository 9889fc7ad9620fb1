package exchange

import (
	"net/http"
	"strings"
	"unicode/utf8"
)

// Dashed returns the canonical name of the field for which CGI and its heirs
// take the one called key, a field of r.Header: they make no difference between
// - and _, and some of them none to any other mark that may stand in a name.
func Dashed(key string) string {
	if !Marked(key) {
		return key
	}
	return http.CanonicalHeaderKey(strings.Map(func(c rune) rune {
		if isMark(c) {
			return '-'
		}
		return c
	}, key))
}

// Marked reports whether Dashed returns another name than key.
func Marked(key string) bool {
	for i := range len(key) {
		if marks[key[i]] { // as each byte of a rune beyond ASCII is
			return true
		}
	}
	return false
}

var marks = func() (t [256]bool) {
	for c := range t {
		t[c] = isMark(rune(c))
	}
	return t
}()

// ReadAs reports whether Dashed(key) is name, and allocates nothing for a key
// that net/http lets in. Most keys it tells by their first letters.
func ReadAs(key, name string) bool {
	marked := false
	for i := range len(key) {
		c := key[i]
		switch {
		case c >= utf8.RuneSelf:
			return Dashed(key) == name
		case i >= len(name):
			return false
		case isMark(rune(c)):
			if marked = true; name[i] != '-' {
				return false
			}
		case lower(c) != lower(name[i]):
			return false
		}
	}
	if !marked {
		return key == name
	}
	return len(key) == len(name) && http.CanonicalHeaderKey(name) == name
}

// isMark reports whether c is what some servers take for a hyphen.
func isMark(c rune) bool {
	return c != '-' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9')
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}
