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
//   - as it was sent, if that is another spelling than the usual one;
//   - without parameters behind semicolons, empty segments and dot segments,
//     with backslashes for slashes and up to a NUL, as servlet containers,
//     Windows and file systems have it.
//
// Under server.paths strict the second never comes, since what could be meant
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

// plain returns a decoded path without what some servers take off it; "" if
// there is nothing of the kind.
func plain(p string) string {
	if !strings.ContainsAny(p, ";\\\x00") && !strings.Contains(p, "//") && !strings.Contains(p, "/.") {
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
