package proxy

import (
	"iter"
	"net/http"
	"slices"
	"strings"

	"sidecar/internal/exchange"
)

// forward puts fields into h, in place of what it has in them.
func forward(h http.Header, fields []exchange.Field) {
	for _, f := range fields {
		if f.Value == "" {
			h.Del(f.Name)
		} else {
			h.Set(f.Name, f.Value)
		}
	}
}

// names reports whether one of fields is called name, in canonical form.
func names(fields []exchange.Field, name string) bool {
	return slices.ContainsFunc(fields, func(f exchange.Field) bool {
		return len(f.Name) == len(name) && http.CanonicalHeaderKey(f.Name) == name
	})
}

// fate is what becomes of a client's field on its way to the upstream.
type fate int

const (
	dropped  fate = iota + 1 // or we say it ourselves
	reserved                 // only of a trusted peer does it pass
)

// shapes are the first letters and lengths of some names. Most others are told
// from these by their shape alone.
type shapes [32]uint64

func shapesOf(names iter.Seq[string]) (s shapes) {
	for name := range names {
		s[name[0]&31] |= 1 << min(len(name), 63)
	}
	return s
}

// has reports whether one of the names may be name.
func (s *shapes) has(name string) bool {
	return name != "" && s[name[0]&31]&(1<<min(len(name), 63)) != 0
}

// fates are those of the fields that do not just pass. What tells who calls is
// among them whatever the client's Connection field says: it cannot have them
// dropped.
func fates(identity []string) map[string]fate {
	all := map[string]fate{
		"Forwarded": dropped, "X-Forwarded-For": dropped, "X-Forwarded-Host": dropped, "X-Forwarded-Proto": dropped,
		"X-Real-Ip": reserved, requestTimeoutHeader: reserved, attemptHeader: dropped, "X-Request-Id": dropped, "Via": dropped,
	}
	for _, name := range append(hopByHop[:], identity...) {
		all[name] = dropped
	}
	return all
}

// hopByHop are the fields that are for one connection alone, in canonical form.
var hopByHop = [...]string{
	"Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer",
	"Transfer-Encoding", "Upgrade",
}

// passes reports whether the upstream gets the client's field called name, which
// is none of those that policies say instead.
func (rw *rewriter) passes(name string, trusted bool, instead []exchange.Field) bool {
	if rw.shapes.has(name) {
		switch rw.fate[name] {
		case dropped:
			return false
		case reserved:
			return trusted
		}
	}
	if !trusted && isForwarded(name) {
		return false
	}
	// An upstream may read another spelling of our names as the same.
	dashed := exchange.Dashed(name)
	return !names(instead, dashed) && (dashed == name || !rw.ours[dashed] && !isForwarded(dashed))
}

// isForwarded reports whether the field called name tells of those before us:
// applications believe more of these than we set.
func isForwarded(name string) bool {
	return strings.HasPrefix(name, "X-Forwarded-") || name == "X-Real-Ip"
}

// ours returns the fields that only we may set, or who we trust: those that
// tell who calls, and those that every request gets.
func ours(identity []string) map[string]bool {
	names := map[string]bool{
		"X-Forwarded-For": true, "X-Forwarded-Host": true, "X-Forwarded-Proto": true,
		"X-Request-Id": true, attemptHeader: true, requestTimeoutHeader: true,
	}
	for _, name := range identity {
		names[name] = true
	}
	return names
}

// isHopByHop reports whether the field called name is for one connection alone.
func isHopByHop(name string) bool { return hops.has(name) && slices.Contains(hopByHop[:], name) }

var hops = shapesOf(slices.Values(hopByHop[:]))

// stripSpellings removes from h the other spellings of our names that an
// upstream may read as the same.
func stripSpellings(h http.Header, ours func(name string) bool) {
	for key := range h {
		if name := exchange.Dashed(key); name != key && ours(name) {
			delete(h, key)
		}
	}
}

// dropNamed removes from h what its Connection field names: the upstream does
// not get it (RFC 9110 section 7.6.1), so no gate shall go by it. What a proxy
// handles by itself stays where ReverseProxy looks for it.
func dropNamed(h http.Header) {
	for _, line := range h["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			switch name := http.CanonicalHeaderKey(strings.Trim(name, " \t")); name {
			case "Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade":
			default:
				delete(h, name)
			}
		}
	}
}
