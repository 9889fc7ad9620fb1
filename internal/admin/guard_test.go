package admin

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"testing"

	"sidecar/internal/exchange"
)

func TestGuard(t *testing.T) {
	const loopback, everywhere = "127.0.0.1:9901", ":9901"
	from := func(header, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(header, value) }
	}
	// to is a request that came in on an address of the machine.
	to := func(address string) func(*http.Request) {
		return func(r *http.Request) {
			at := context.WithValue(r.Context(), http.LocalAddrContextKey, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(address)))
			*r = *r.WithContext(at)
		}
	}
	allow, deny := row(http.StatusOK), row(http.StatusForbidden)
	tests := []guardCase{
		allow("localhost", loopback, "localhost:9901"),
		allow("localhost in capitals", loopback, "LOCALHOST:9901"),
		allow("localhost without a port", loopback, "localhost"),
		allow("another port, as a tunnel has", loopback, "localhost:12345"),
		allow("the loopback address", loopback, "127.0.0.1:9901"),
		allow("another loopback address", loopback, "127.8.8.8:9901"),
		allow("IPv6", loopback, "[::1]:9901"),
		allow("IPv6 without a port", loopback, "[::1]"),
		allow("IPv4 in IPv6", loopback, "[::ffff:127.0.0.1]:9901"),
		allow("the host of server.admin", "admin.example:9901", "admin.example:9901"),
		allow("the host of server.admin in capitals", "admin.example:9901", "Admin.Example:9901"),
		allow("the address of server.admin", "10.0.0.5:9901", "10.0.0.5:9901"),
		allow("the address it came to", everywhere, "10.0.0.5:9901", to("10.0.0.5:9901")),
		allow("the IPv6 address it came to", everywhere, "[fd00::5]:9901", to("[fd00::5]:9901")),
		allow("the IPv4 address it came to, in IPv6", everywhere, "10.0.0.5", to("[::ffff:10.0.0.5]:9901")),

		deny("a name that points here", loopback, "evil.example:9901"),
		deny("a name that begins well", loopback, "localhost.evil.example"),
		deny("a name that looks like an address", loopback, "127.0.0.1.evil.example"),
		deny("a name in brackets", loopback, "[evil.example]:9901"),
		deny("no host", loopback, ""),
		deny("no host, on no host", everywhere, ""),
		deny("a port and no host", everywhere, ":9901"),
		deny("another machine", loopback, "10.0.0.5:9901"),
		deny("another address than it came to", everywhere, "10.0.0.6:9901", to("10.0.0.5:9901")),
		deny("a name, whatever it came to", everywhere, "evil.example:9901", to("10.0.0.5:9901")),
		deny("two hosts", loopback, "localhost,evil.example"),

		allow("its own origin", loopback, "localhost:9901", from("Origin", "http://localhost:9901")),
		allow("a tool that says so", loopback, "localhost:9901", from("Sec-Fetch-Site", "none")),
		deny("a change from another origin", loopback, "localhost:9901", from("Origin", "http://evil.example")),
		deny("a change from another port", loopback, "localhost:9901", from("Origin", "http://localhost:8080")),
		deny("a change from nowhere", loopback, "localhost:9901", from("Origin", "null")),
		deny("a change across sites", loopback, "localhost:9901", from("Sec-Fetch-Site", "cross-site")),
		deny("a change within the site", loopback, "localhost:9901", from("Sec-Fetch-Site", "same-site")),
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newShop(t)
			h.apply(t, guarded)
			h.Listen = tt.listen
			h.reload = func(exchange.Who) (Change, error) { return Change{}, nil }
			for _, change := range []struct{ line, body string }{
				{"POST /breakers/standard@app", `{"state": "open"}`},
				{"PUT /faults/chaos", ""},
				{"DELETE /faults/chaos", ""},
				{"POST /-/reload", ""},
			} {
				a := ask(t, h.Handler(), change.line, change.body, append(tt.change, bearing(secret), func(r *http.Request) { r.Host = tt.host })...)
				if a.status != tt.want {
					t.Errorf("%s for %s: %d, want %d", change.line, tt.host, a.status, tt.want)
				}
			}
			if told := h.told(); (told == nil) != (tt.want == http.StatusForbidden) {
				t.Errorf("the changes told are %q", told)
			}
		})
	}
}

// What a page of another name reads here stays here, too.
func TestGuardOfReads(t *testing.T) {
	admin := newShop(t).Handler()
	for _, line := range []string{"GET /breakers", "GET /faults", "GET /nothing"} {
		if a := ask(t, admin, line, "", func(r *http.Request) { r.Host = "evil.example" }); a.status != http.StatusForbidden {
			t.Errorf("%s for evil.example: %d, want 403", line, a.status)
		}
	}
}

// Nobody changes anything without being somebody: what nobody asks for is not
// audited.
func TestWho(t *testing.T) {
	for address, want := range map[string]string{
		"127.0.0.1:4711":        "127.0.0.1",
		"[fd00::5]:4711":        "fd00::5",
		"[fe80::1%eth0]:4711":   "fe80::1%eth0",
		"[::ffff:10.0.0.9]:471": "10.0.0.9",
		"@":                     "somebody",
		"no port at all":        "somebody",
	} {
		if got := who(&http.Request{RemoteAddr: address}); got.String() != want || got.IsZero() {
			t.Errorf("who(%s) = %s, want %s", address, got, want)
		}
	}
}

type guardCase struct {
	name, listen, host string
	change             []func(*http.Request)
	want               int
}

func row(want int) func(name, listen, host string, change ...func(*http.Request)) guardCase {
	return func(name, listen, host string, change ...func(*http.Request)) guardCase {
		return guardCase{name, listen, host, change, want}
	}
}
