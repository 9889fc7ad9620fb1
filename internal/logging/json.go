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

// jsonLine is a line as slog's JSONHandler would write it, which takes ten
// times as long: a line is on the path of every request.
type jsonLine struct{ b []byte }

// jsonLines lends room for lines.
type jsonLines struct {
	pool  sync.Pool
	clock clock
}

// roomy is how large a line may get and its room still be lent again.
const roomy = 16 << 10

func (p *jsonLines) begin(at time.Time, level slog.Level) *jsonLine {
	l, ok := p.pool.Get().(*jsonLine)
	if !ok {
		l = &jsonLine{make([]byte, 0, 1<<10)}
	}
	l.b = append(l.b[:0], `{"time":"`...)
	l.b = p.clock.append(l.b, at)
	l.b = append(append(append(l.b, `","level":"`...), level.String()...), `","msg":"`+requestLine+`","request_id":`...)
	return l
}

// tell appends the fields that settings.tell gathers, but for the header, in their
// order. It says them all again: to write each key in one piece with what stands
// around it takes half the time.
func (l *jsonLine) tell(r *exchange.Record, said []*exchange.Decision) {
	b := appendQuoted(l.b, r.ID)
	if r.TraceID != "" {
		b = appendQuoted(append(b, `,"trace_id":`...), r.TraceID)
	}
	b = appendQuoted(append(b, `,"method":`...), r.Method)
	b = appendQuoted(append(b, `,"path":`...), r.Path)
	b = appendQuoted(append(b, `,"host":`...), r.Host)
	b = appendQuoted(append(b, `,"proto":`...), r.Proto)
	b = appendQuoted(append(b, `,"route":`...), r.Route)
	if r.Upstream != "" {
		b = appendQuoted(append(b, `,"upstream":`...), r.Upstream)
	}
	b = strconv.AppendInt(append(b, `,"status":`...), int64(r.Status), 10)
	if r.Reason != "" {
		b = appendQuoted(append(b, `,"reason":`...), string(r.Reason))
	}
	b = strconv.AppendInt(append(b, `,"bytes_in":`...), r.BytesIn, 10)
	b = strconv.AppendInt(append(b, `,"bytes_out":`...), r.BytesOut, 10)
	b = appendMillis(append(b, `,"duration_ms":`...), r.Took)
	attempts := r.Attempts()
	if attempts > 0 {
		b = appendMillis(append(b, `,"upstream_ms":`...), r.UpstreamTook())
	}
	b = strconv.AppendInt(append(b, `,"attempts":`...), int64(attempts), 10)
	if r.Client.IsValid() {
		b = appendAddress(append(b, `,"client":`...), r.Client)
	}
	if p := r.Principal(); p != nil {
		if p.Subject != "" {
			b = appendQuoted(append(b, `,"principal":`...), p.Subject)
		}
		if p.By != "" {
			b = appendQuoted(append(b, `,"credential":`...), p.By)
		}
	}
	l.b = b
	if said != nil {
		l.decisions("decisions", said)
	}
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

func appendAddress(b []byte, a netip.Addr) []byte {
	if a.Zone() != "" { // which may be any text
		return appendQuoted(b, a.String())
	}
	return append(a.AppendTo(append(b, '"')), '"')
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
		if i+8 <= len(s) && arePlain(s[i:i+8]) {
			i += 8
			continue
		}
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

// arePlain reports whether all of the 8 bytes of s are plain. They are looked at
// as one number: what is subtracted sets the highest bit of a byte that is less
// than a space, or that is nothing once it is compared with a quote or a
// backslash.
func arePlain(s string) bool {
	const ones, highest = 0x0101010101010101, 0x8080808080808080
	_ = s[7]
	v := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
	quote, slash := v^'"'*ones, v^'\\'*ones
	return (v|(v-' '*ones)|(quote-ones)|(slash-ones))&highest == 0
}

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
