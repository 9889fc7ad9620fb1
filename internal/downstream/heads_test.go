package downstream_test

import (
	"fmt"
	"strings"
)

// heads are requests with odd fields, or with usual ones.
var heads = map[string][]heard{
	"field": {
		{name: "many names of one", text: with("x-a: 1", "X-A: 2", "X-a: 3")},
		{name: "empty value", text: with("X-A:", "X-B: ", "X-C: \t ")},
		{name: "spaces around", text: with("X-A: \t a \t b \t ")},
		{name: "folded", text: with("X-A: a", "  b", "\tc")},
		{name: "folded first", text: plainGet[:len("GET / HTTP/1.1\r\n")] + " X-A: a\r\nHost: x\r\n\r\n"},
		{name: "folded to nothing", text: with("X-A: a", " ")},
		{name: "LF alone", text: plainGet + "X-A: a\nX-B: b\r\n\r\n"},
		{name: "LF alone at the end", text: plainGet + "X-A: a\r\n\n"},
		{name: "CR within", text: with("X-A: a\rb")},
		{name: "CR alone as the end", text: plainGet + "X-A: a\r\r\n\r\n"},
		{name: "NUL", text: with("X-A: a\x00b")},
		{name: "DEL", text: with("X-A: a\x7fb")},
		{name: "control bytes", text: with("X-A: a\x01\x1fb")},
		{name: "8 bits", text: with("X-A: \x80\xe4\xff")},
		{name: "UTF-8", text: with("X-A: ä")},
		{name: "space before the colon", text: with("X-A : a")},
		{name: "tab before the colon", text: with("X-A\t: a")},
		{name: "space in the name", text: with("X A: a")},
		{name: "no name", text: with(": a")},
		{name: "no colon", text: with("X-A")},
		{name: "nothing but a colon", text: with(":")},
		{name: "8 bits in the name", text: with("X-\xe4: a")},
		{name: "all signs in the name", text: with("!#$%&'*+-.^_`|~09azAZ: a")},
		{name: "bad sign in the name", text: with("X(A): a")},
		{name: "NUL in the name", text: with("X\x00A: a")},
		{name: "long name", text: with(strings.Repeat("x", 1000) + ": a")},
		{name: "long value", text: with("X-A: " + strings.Repeat("a", 5000))},
		{name: "just a buffer", text: with("X-A: " + strings.Repeat("a", 8<<10-len(plainGet)-len("X-A: \r\n\r\n")))},
		{name: "just more than a buffer", text: with("X-A: " + strings.Repeat("a", 8<<10-len(plainGet)-len("X-A: \r\n\r\n")+1))},
		{name: "longer than a buffer", text: with("X-A: " + strings.Repeat("a", 20_000))},
		{name: "longer than the most", text: with("X-A: " + strings.Repeat("a", 1<<20+64<<10)), ends: true},
		{name: "many", text: with(many(300)...)},
		{name: "cookies", text: with("Cookie: a=b", "Cookie: c=d; e")},
		{name: "usual ones", text: with("Accept: */*", "accept-encoding: gzip", "USER-AGENT: x/1 (y; z)", "Referer: http://y", "X-Forwarded-For: 1, 2")},
		{name: "priority and more", text: with("Priority: u=1", "If-None-Match: \"a\"", "Range: bytes=0-1", "Authorization: Basic YTpi")},
		{name: "pragma", text: with("Pragma: no-cache")},
		{name: "pragma and cache-control", text: with("Pragma: no-cache", "Cache-Control: max-age=0")},
	},
	"hop by hop": {
		{name: "close", text: with("Connection: close")},
		{name: "Close", text: with("connection: CLOSE")},
		{name: "keep-alive", text: with("Connection: keep-alive")},
		{name: "Keep-Alive", text: with("Connection:  Keep-Alive \t", "Keep-Alive: 5")},
		{name: "a list with close", text: with("Connection: x, close", "X: y")},
		{name: "a list", text: with("Connection: keep-alive, x", "X: y")},
		{name: "an empty list", text: with("Connection:")},
		{name: "both", text: with("Connection: keep-alive, close")},
		{name: "two fields", text: with("Connection: keep-alive", "Connection: close")},
		{name: "closed", text: with("Connection: closed")},
		{name: "proxy-connection", text: with("Proxy-Connection: close")},
		{name: "upgrade", text: with("Connection: Upgrade", "Upgrade: websocket")},
		{name: "upgrade without connection", text: with("Upgrade: websocket")},
		{name: "upgrade to h2c", text: with("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA")},
		{name: "TE", text: with("TE: trailers", "Connection: TE")},
		{name: "trailer without chunks", text: with("Trailer: X-A")},
		{name: "expect", text: sends("hello", "Expect: 100-continue", "Content-Length: 5")},
		{name: "expect, not read", text: sends("hello", "Expect: 100-continue", "Content-Length: 5"), does: does("write")},
		{name: "expect, without a body", text: with("Expect: 100-continue")},
		{name: "expect, small letters", text: sends("hello", "expect: 100-CONTINUE", "Content-Length: 5")},
		{name: "expect something else", text: with("Expect: tea")},
		{name: "expect nothing", text: with("Expect:")},
	},
}

func many(n int) (lines []string) {
	for i := range n {
		lines = append(lines, fmt.Sprintf("X-%d: %d", i, i))
	}
	return lines
}
