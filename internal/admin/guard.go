package admin

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"sidecar/internal/exchange"
)

// guard refuses what a web page could make a browser send: a request for a
// host that is not this machine (DNS rebinding), and a change that comes from
// another origin.
func guard(next http.Handler, listen string) http.Handler {
	own, _, _ := net.SplitHostPort(listen)
	crossOrigin := http.NewCrossOriginProtection()
	crossOrigin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fail(w, http.StatusForbidden, "changes are not taken from other origins")
	}))
	next = crossOrigin.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if host := hostOf(r.Host); !local(host, own) && !arrivedAt(r, host) {
			fail(w, http.StatusForbidden, "the Host field must name this machine: localhost, its address, or the host of server.admin")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// hostOf returns the host of a Host field, without port and brackets.
func hostOf(field string) string {
	host, _, err := net.SplitHostPort(field)
	if err != nil {
		host = field
	}
	return strings.Trim(host, "[]")
}

func local(host, own string) bool {
	return own != "" && strings.EqualFold(host, own) || exchange.Loopback(host)
}

// arrivedAt reports whether host is the very address that r came to. It is no
// name, so there is nothing to rebind, and a listener on 0.0.0.0 has no other.
func arrivedAt(r *http.Request, host string) bool {
	at, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if !ok {
		return false
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap() == at.AddrPort().Addr().Unmap()
}

// who returns by whom a change is asked for: it always is somebody.
func who(r *http.Request) exchange.Who {
	by := exchange.Who{Name: credential(r), RequestID: requestID(r)}
	if at, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		by.Client = at.Addr().Unmap()
		by.Peer = netip.AddrPortFrom(by.Client, at.Port())
	} else if by.Name == "" {
		by.Name = "somebody"
	}
	return by
}
