package exchange

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// A Report takes one problem of a Config: the key it is about, relative to
// the Config ("openFor.base", "rules[2].name"), and what is wrong, with the
// value and what would be right.
type Report func(field, problem string)

// FieldError is a problem of a Config that only shows when it is put to use: a
// file that does not hold what it should. Field and Problem are those of a
// Report.
type FieldError struct{ Field, Problem string }

// Error returns "field: problem".
func (e *FieldError) Error() string { return e.Field + ": " + e.Problem }

// Range reports a number that is not from min to max.
func Range[N int | int64 | float64](report Report, field string, n, minimum, maximum N) {
	if !(minimum <= n && n <= maximum) { // so that NaN is out of every range
		report(field, fmt.Sprintf("must be %v to %v, got %v", minimum, maximum, n))
	}
}

// Between reports a duration that is not from min to max.
func Between(report Report, field string, d, minimum, maximum time.Duration) {
	if d < minimum || d > maximum {
		report(field, fmt.Sprintf("must be %v to %v, got %v", minimum, maximum, d))
	}
}

// OneOf reports a word that is not among words.
func OneOf(report Report, field, got string, words ...string) {
	for _, w := range words {
		if got == w {
			return
		}
	}
	report(field, fmt.Sprintf("must be one of %v, got %q", words, got))
}

// Methods reports each method that is no HTTP method, or one that is never
// forwarded.
func Methods(report Report, field string, methods []string) {
	for i, m := range methods {
		at := fmt.Sprintf("%s[%d]", field, i)
		switch {
		case m == http.MethodConnect || m == http.MethodTrace:
			report(at, m+" is never forwarded")
		case !isToken(m) || m != strings.ToUpper(m):
			report(at, fmt.Sprintf("must be an HTTP method in capitals, got %q", m))
		}
	}
}

// HeaderName reports a name that cannot be a header field's.
func HeaderName(report Report, field, name string) {
	if !isToken(name) {
		report(field, fmt.Sprintf("must be a header name, got %q", name))
	}
}

// isToken reports whether s is a token (RFC 9110 section 5.6.2).
func isToken(s string) bool {
	for _, c := range []byte(s) {
		switch {
		case c >= '0' && c <= '9', c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z':
		case c == '!', c >= '#' && c <= '\'', c == '*', c == '+', c == '-', c == '.', c >= '^' && c <= '`', c == '|', c == '~':
		default:
			return false
		}
	}
	return s != ""
}

// Loopback reports whether host is this machine: localhost, or an address that
// leads nowhere else. What may be done without a credential hangs on it.
func Loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && ip.Unmap().IsLoopback()
}
