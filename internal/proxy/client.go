package proxy

import (
	"crypto/rand"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"sidecar/internal/exchange"
)

// trusted holds the peers whose word on others is believed.
type trusted []exchange.Network

func (t trusted) holds(a netip.Addr) bool {
	return slices.ContainsFunc(t, func(n exchange.Network) bool { return n.Contains(a) })
}

// peer returns the other end of the connection; invalid where a test made it
// up.
func peer(r *http.Request) netip.AddrPort {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
}

// client returns who sends r, which came from the address at. A trusted peer's
// X-Forwarded-For is read from the right, where the nearest proxy writes, up
// to the first address that is not trusted; what is left of that, or is no
// address, could be anybody's invention.
func (t trusted) client(r *http.Request, at netip.Addr) netip.Addr {
	said := r.Header["X-Forwarded-For"]
	if len(said) == 0 || !t.holds(at) {
		return at
	}
	hops := strings.Split(strings.Join(said, ","), ",")
	for _, hop := range slices.Backward(hops) {
		if !t.holds(at) {
			break
		}
		next, ok := parseHop(hop)
		if !ok {
			break
		}
		at = next
	}
	return at
}

func parseHop(s string) (netip.Addr, bool) {
	s = strings.TrimSpace(s)
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap().WithZone(""), true
	}
	a, err := netip.ParseAddr(strings.Trim(s, "[]"))
	return a.Unmap().WithZone(""), err == nil
}

// scheme returns what the client speaks, as far as a trusted peer tells.
func scheme(r *http.Request, trusted bool) string {
	if trusted {
		if said := first(r.Header, "X-Forwarded-Proto"); said != "" {
			return said
		}
	}
	if r.TLS != nil {
		return "https"
	}
	return "http"
}

// requestID returns the id that a peer gave r, if it is trusted and the id well
// formed, else a new one.
func requestID(r *http.Request, trusted bool) string {
	if trusted {
		if id := first(r.Header, "X-Request-Id"); validRequestID(id) {
			return id
		}
	}
	return exchange.NewID()
}

// first returns the first value of the field called name, in canonical form.
func first(h http.Header, name string) string {
	if values := h[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}

func validRequestID(id string) bool {
	if id == "" || len(id) > 128 {
		return false
	}
	for _, c := range []byte(id) {
		switch {
		case c >= '0' && c <= '9', c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}

// newPseudonym returns the name under which this process stands in Via (RFC
// 9110 section 7.6.3). Its random part tells two sidecars in a row, which are
// no loop, from one that meets itself.
func newPseudonym() string {
	return "sidecar-" + strings.ToLower(rand.Text()[:8])
}

// hasVia reports whether h has been through pseudonym already.
func hasVia(h http.Header, pseudonym string) bool {
	for _, line := range h["Via"] {
		for hop := range strings.SplitSeq(line, ",") {
			if fields := strings.Fields(hop); len(fields) >= 2 && fields[1] == pseudonym {
				return true
			}
		}
	}
	return false
}
