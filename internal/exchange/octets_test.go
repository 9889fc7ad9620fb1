package exchange

import (
	"net/http"
	"strings"
	"testing"

	"golang.org/x/net/http/httpguts"
)

func TestAFieldValueHasNoControlCharacters(t *testing.T) {
	for i := range 20 { // wherever it stands
		for c := range 256 {
			v := strings.Repeat("x", i) + string([]byte{byte(c)}) + strings.Repeat("\t", 19-i)
			want := c >= ' ' && c != 0x7f || c == '\t'
			if got := IsFieldValue(v); got != want {
				t.Errorf("IsFieldValue(%q) = %v, want %v", v, got, want)
			}
			if got := IsFieldValue([]byte(strings.Repeat("x", i) + string([]byte{byte(c)}) + strings.Repeat("x", 19-i))); got != want {
				t.Errorf("IsFieldValue of %#x at %d = %v, want %v", c, i, got, want)
			}
		}
	}
}

func TestATokenIsOneAsNetHTTPHasIt(t *testing.T) {
	for _, s := range []string{"", "Accept", "accept", "X-A", "x-A", "X-a", "A b", "A:", "-", "--a", "1a-B", "Été", "WWW-Authenticate", "X_y", "a\x00"} {
		n, canonical := Token(s)
		if whole := n > 0 && n == len(s); whole != httpguts.ValidHeaderFieldName(s) {
			t.Errorf("Token(%q) = %d, want all of it: %v", s, n, !whole)
		}
		if n > 0 && canonical != (http.CanonicalHeaderKey(s[:n]) == s[:n]) {
			t.Errorf("Token(%q) is canonical: %v, want %v", s, canonical, !canonical)
		}
		name := []byte(s[:n])
		if Canonicalise(name); n > 0 && string(name) != http.CanonicalHeaderKey(s[:n]) {
			t.Errorf("Canonicalise(%q) = %q, want %q", s[:n], name, http.CanonicalHeaderKey(s[:n]))
		}
	}
}
