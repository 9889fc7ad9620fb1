package proxy

import (
	"net/http"
	"strings"
)

// normalizeTarget gives a request whose target is a URL without a path the path
// that it stands for (RFC 9110 section 4.2.3), so that rules read what is
// sent. It reports whether the target is a path or such a URL (RFC 9112
// section 3.2); * and what else there is have no path to read.
func normalizeTarget(r *http.Request) bool {
	if strings.HasPrefix(r.RequestURI, "/") {
		return true
	}
	if r.URL.Scheme != "http" && r.URL.Scheme != "https" || r.URL.Host == "" {
		return false
	}
	if r.URL.Path == "" {
		r.URL.Path = "/"
	}
	return r.URL.Path[0] == '/'
}

// ambiguity says why the path of r can be read in two ways, or breaks RFC 3986
// section 3.3; "" when neither. What stands between us and the application may
// decode, merge or climb where our rules did not, so such a path could pass a
// rule under one reading and be served under the other.
func ambiguity(r *http.Request) string {
	raw := rawPath(r)
	if raw == "" || raw[0] != '/' {
		return "the path does not begin with a slash"
	}
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case c == '%':
			if i+2 >= len(raw) {
				return "the path ends within a percent-encoding"
			}
			switch strings.ToLower(raw[i+1 : i+3]) {
			case "2f", "5c", "00":
				return "the path holds an encoded slash, backslash or NUL"
			}
			i += 2
		case c == '\\':
			return "the path holds a backslash"
		case !isPathChar(c):
			return "the path holds a character that must be percent-encoded"
		}
	}
	return ambiguousSegment(r.URL.Path)
}

func ambiguousSegment(path string) string {
	for rest, more := path[1:], true; more; {
		var whole string
		whole, rest, more = strings.Cut(rest, "/")
		// Servlet containers take ;parameters off before they resolve dots.
		segment, _, parameters := strings.Cut(whole, ";")
		switch {
		case segment == "." || segment == "..":
			return "the path holds a dot segment"
		case segment == "" && (more || parameters):
			return "the path holds an empty segment"
		}
		for i := range len(whole) {
			if c := whole[i]; c < ' ' || c == 0x7f {
				return "the path holds an encoded control character"
			}
			if isOverlong(whole[i:]) {
				return "the path holds a character in more bytes than it has"
			}
		}
	}
	return ""
}

// isOverlong reports whether s begins with a character that is encoded in more
// bytes than it needs. Decoders that take it (RFC 3629 section 10 forbids it)
// read a dot or a slash where we read none.
func isOverlong(s string) bool {
	if len(s) < 2 || s[1]&0xc0 != 0x80 {
		return false
	}
	switch s[0] {
	case 0xc0, 0xc1:
		return true
	case 0xe0:
		return s[1] < 0xa0
	case 0xf0:
		return s[1] < 0x90
	}
	return false
}

// isPathChar reports whether c may stand in a path as it is: pchar or a slash
// (RFC 3986 section 3.3).
func isPathChar(c byte) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		return true
	}
	return strings.IndexByte("-._~!$&'()*+,;=:@/", c) >= 0
}

// rawPath returns the path of r as the client spelled it.
func rawPath(r *http.Request) string {
	target, _, _ := strings.Cut(r.RequestURI, "?")
	if strings.HasPrefix(target, "/") {
		return target
	}
	// The absolute form: http://host/path (RFC 9112 section 3.2.2).
	_, rest, ok := strings.Cut(target, "://")
	if !ok {
		return r.URL.EscapedPath()
	}
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		return rest[i:]
	}
	return "/"
}
