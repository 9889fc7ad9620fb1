package authz

import (
	"net/url"
	"path"
	"strings"
)

// A path is judged in each way in which a server may read it, and must be
// allowed in all of them, since we do not know by which the upstream goes:
//
//   - decoded, as routing reads it;
//   - as it was sent, if that is another spelling than the usual one, and as
//     it is if dot segments and the like are taken off before it is decoded;
//   - without parameters behind semicolons, empty segments and dot segments,
//     with backslashes for slashes and up to a NUL, as servlet containers,
//     Windows and file systems have it.
//
// Under server.paths strict the second ones never come, since what could be meant
// by another spelling is refused before any rule is asked, and the third only
// for parameters.

// raw returns the path of u as it was sent; "" if that tells nothing new.
func raw(u *url.URL) string {
	// net/url keeps RawPath only if it is not how Path would be encoded.
	if u.RawPath == u.Path {
		return ""
	}
	return u.RawPath
}

// Readings returns how else than as u.Path the path of u may be read; "" is a
// reading that tells nothing new.
func Readings(u *url.URL) [3]string {
	if OneWay(u) {
		return [3]string{}
	}
	return [...]string{raw(u), resolved(u.RawPath), plain(u.Path)}
}

// OneWay reports whether the path of u, as most are, can be read in no other way:
// all Readings of it are "". It costs next to nothing.
func OneWay(u *url.URL) bool { return u.RawPath == "" && !hasExtras(u.Path) }

// hasExtras reports whether a decoded path has what some servers take off it.
func hasExtras(p string) bool {
	for i := range len(p) {
		switch p[i] {
		case ';', '\\', 0:
			return true
		case '/':
			if i+1 < len(p) && (p[i+1] == '/' || p[i+1] == '.') {
				return true
			}
		}
	}
	return false
}

// resolved returns a path as it was sent, read by who takes off what plain does
// before decoding, and knows that behind # is no path; "" if there is nothing
// of the kind.
func resolved(sent string) string {
	clean, _, cut := strings.Cut(sent, "#")
	if strings.Contains(clean, "%2e") || strings.Contains(clean, "%2E") {
		clean = encodedDot.Replace(clean)
	}
	if p := plain(clean); p != "" {
		clean = p
	} else if !cut {
		return ""
	}
	if decoded, err := url.PathUnescape(clean); err == nil {
		return decoded
	}
	return clean
}

var encodedDot = strings.NewReplacer("%2e", ".", "%2E", ".")

// plain returns a decoded path without what some servers take off it; "" if
// there is nothing of the kind.
func plain(p string) string {
	if !hasExtras(p) {
		return ""
	}
	clean, _, _ := strings.Cut(p, "\x00") // where a string ends in C
	segments := strings.Split(strings.ReplaceAll(clean, `\`, "/"), "/")
	for i, s := range segments {
		segments[i], _, _ = strings.Cut(s, ";")
	}
	clean = path.Clean("/" + strings.Join(segments, "/"))
	switch segments[len(segments)-1] {
	case "", ".", "..":
		clean = strings.TrimSuffix(clean, "/") + "/"
	}
	if clean == p {
		return ""
	}
	return clean
}
