package logging

import (
	"bytes"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"

	"sidecar/internal/exchange"
)

// jsonLine is a line as slog's JSONHandler would write it, which takes five
// times as long: a line is on the path of every request.
type jsonLine struct{ b []byte }

// jsonLines lends room for lines.
type jsonLines struct{ pool sync.Pool }

// roomy is how large a line may get and its room still be lent again.
const roomy = 16 << 10

func (p *jsonLines) begin(at time.Time, level slog.Level) *jsonLine {
	l, ok := p.pool.Get().(*jsonLine)
	if !ok {
		l = &jsonLine{make([]byte, 0, 1<<10)}
	}
	l.b = append(l.b[:0], `{"time":"`...)
	l.b = at.AppendFormat(l.b, time.RFC3339Nano)
	l.b = append(l.b, '"')
	l.text("level", level.String())
	l.text("msg", requestLine)
	return l
}

// end ends l, hands it to write, which must not keep it, and takes it back.
func (p *jsonLines) end(l *jsonLine, write func([]byte)) {
	l.b = append(l.b, "}\n"...)
	write(l.b)
	if cap(l.b) <= roomy {
		p.pool.Put(l)
	}
}

// key appends a key, which is ours and not the first of its object, and what
// stands around it.
func (l *jsonLine) key(key string) {
	l.b = append(l.b, `,"`...)
	l.b = append(l.b, key...)
	l.b = append(l.b, `":`...)
}

func (l *jsonLine) text(key, value string) {
	l.key(key)
	l.b = appendQuoted(l.b, value)
}

func (l *jsonLine) textIf(key, value string) {
	if value != "" {
		l.text(key, value)
	}
}

func (l *jsonLine) number(key string, n int64) {
	l.key(key)
	l.b = strconv.AppendInt(l.b, n, 10)
}

func (l *jsonLine) millis(key string, d time.Duration) {
	l.key(key)
	l.b = appendMillis(l.b, d)
}

// appendMillis appends what milliseconds returns, in its shortest form. Times of
// some size and sign are a matter of integers, which takes half as long.
func appendMillis(b []byte, d time.Duration) []byte {
	micros := d.Microseconds()
	if micros < 0 || micros > 1e15 { // more digits than a float64 holds
		return strconv.AppendFloat(b, milliseconds(d), 'f', -1, 64)
	}
	b = strconv.AppendInt(b, micros/1000, 10)
	rest := micros % 1000
	if rest == 0 {
		return b
	}
	b = append(b, '.', byte('0'+rest/100), byte('0'+rest/10%10), byte('0'+rest%10))
	return bytes.TrimRight(b, "0")
}

func (l *jsonLine) address(key string, a netip.Addr) {
	if a.Zone() != "" { // which may be any text
		l.text(key, a.String())
		return
	}
	l.key(key)
	l.b = append(l.b, '"')
	l.b = a.AppendTo(l.b)
	l.b = append(l.b, '"')
}

func (l *jsonLine) decisions(key string, ds []*exchange.Decision) {
	l.key(key)
	l.b = append(l.b, '[')
	for _, d := range ds {
		if !d.Notable() {
			continue
		}
		if l.b[len(l.b)-1] == '}' {
			l.b = append(l.b, ',')
		}
		l.b = appendQuoted(append(l.b, `{"kind":`...), d.Kind)
		l.textIf("policy", d.Policy)
		l.text("outcome", string(d.Outcome))
		l.textIf("reason", string(d.Reason))
		l.textIf("rule", d.Rule)
		l.textIf("detail", d.Detail)
		if d.Line != 0 {
			l.number("line", int64(d.Line))
		}
		l.b = append(l.b, '}')
	}
	l.b = append(l.b, ']')
}

func (l *jsonLine) header(key string, h map[string][]string) {
	l.key(key)
	l.b = append(l.b, '{')
	for i, name := range slices.Sorted(maps.Keys(h)) {
		if i > 0 {
			l.b = append(l.b, ',')
		}
		l.b = append(appendQuoted(l.b, name), `:[`...) // the name is the client's
		for j, value := range h[name] {
			if j > 0 {
				l.b = append(l.b, ',')
			}
			l.b = appendQuoted(l.b, value)
		}
		l.b = append(l.b, ']')
	}
	l.b = append(l.b, '}')
}

// appendQuoted appends s as a JSON string, escaped as slog does: what is not
// UTF-8 becomes U+FFFD, and the two separators that JavaScript takes for the
// end of a line are escaped, though JSON lets them stand.
func appendQuoted(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0 // of what needs no escape
	for i := 0; i < len(s); {
		if isPlain(s[i]) {
			i++
			continue
		}
		c, size := rune(s[i]), 1
		if c >= utf8.RuneSelf {
			c, size = utf8.DecodeRuneInString(s[i:])
		}
		if c >= utf8.RuneSelf && c != '\u2028' && c != '\u2029' && (c != utf8.RuneError || size > 1) {
			i += size
			continue
		}
		b = appendEscaped(append(b, s[start:i]...), c)
		i += size
		start = i
	}
	return append(append(b, s[start:]...), '"')
}

// isPlain reports whether c is ASCII that needs no escape, which nearly all is.
func isPlain(c byte) bool { return c >= ' ' && c < utf8.RuneSelf && c != '"' && c != '\\' }

func appendEscaped(b []byte, c rune) []byte {
	const hex = "0123456789abcdef"
	switch c {
	case '"', '\\':
		return append(b, '\\', byte(c))
	case '\n':
		return append(b, `\n`...)
	case '\r':
		return append(b, `\r`...)
	case '\t':
		return append(b, `\t`...)
	}
	return append(b, '\\', 'u', hex[c>>12&0xf], hex[c>>8&0xf], hex[c>>4&0xf], hex[c&0xf])
}
