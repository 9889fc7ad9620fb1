package downstream_test

import (
	"slices"
	"strconv"
	"strings"
)

// fields are the acts that set fields of an answer; the name says which.
var fields = []act{
	field("Content-Length", "5"),
	field("Content-Length", "0"),
	field("Content-Length", "9"),
	field("Content-Length", "3072"),
	field("Connection", "close"),
	field("Connection", "Close"),
	field("Connection", "close, x"),
	field("Connection", "keep-alive"),
	field("Connection", "x"),
	field("Connection"),
	field("Content-Type"),
	field("Content-Type", ""),
	field("Content-Type", "a/b"),
	field("Content-Encoding", "gzip"),
	field("Content-Encoding", ""),
	field("Date"),
	field("Date", "yesterday"),
	field("Date", ""),
	field("X-A", "1", "2"),
	field("X-A"),
	field("X-A", ""),
	field("X-A", "a\r\nB: c"),
	field("X-A", "a\nb\rc"),
	field("X-A", " \ta \t"),
	field("X-A", "\xff\x00\x7f"),
	field("X-A", "ä€"),
	field("x-lower", "1"),
	field("Bad\r\nName", "1"),
	field("Bad Name", "1"),
	field("Bad:Name", "1"),
	field("Bäd", "1"),
	field("", "1"),
	field("Keep-Alive", "timeout=1"),
	field("Upgrade", "x"),
	field("Server", "x"),
	field("Trailer", "T"),
	field("Trailer", "t, U", "V"),
	field("Trailer", "Content-Length, Trailer, Transfer-Encoding, T"),
	field("Trailer", ""),
	field("T", "1", "2"),
	field("T", "a\r\nB: c"),
	field("U", ""),
	field("Trailer:Free", "1", "2"),
	field("Trailer:T", "3"),
	field("Trailer:", "1"),
	field("Trailer:Bad Name", "1"),
	field("Trailer:Content-Length", "1"),
	{"forget X-A", func(t *turn) { t.w.Header().Del("X-A") }},
	{"forget all", func(t *turn) { clear(t.w.Header()) }},
	{"change X-A in place", func(t *turn) {
		if v := t.w.Header()["X-A"]; len(v) > 0 {
			v[0] = "changed"
		}
	}},
}

// oddLengths are the acts that set a length that net/http would have on the wire,
// or not.
var oddLengths = []act{
	field("Content-Length", "-1"),
	field("Content-Length", "+5"),
	field("Content-Length", "05"),
	field("Content-Length", "x"),
	field("Content-Length", ""),
	field("Content-Length", "5", "6"),
	field("Content-Length", " 5"),
}

// field sets a field to these values. It is called "Name: value|value", and
// without values "Name: none".
func field(name string, values ...string) act {
	label := "none"
	if values != nil {
		label = strings.Join(values, "|")
	}
	label = strings.Trim(strconv.Quote(name+": "+label), `"`)
	return act{label, func(t *turn) { t.w.Header()[name] = slices.Clone(values) }}
}
