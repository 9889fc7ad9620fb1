package upstream

import (
	"bytes"
	"cmp"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/net/http/httpguts"
)

const (
	// maxBuffered is the longest body that is read before it is sent.
	maxBuffered = 64 << 10

	// maxPooled is the largest buffer that is kept for the next request;
	// maxLines and maxFields are the most lines of a header, in bytes, and the
	// most fields.
	maxPooled = maxBuffered + bufferSize
	maxLines  = bufferSize
	maxFields = 256
)

// message is a request in the form in which it is sent, byte for byte as
// net/http would write it.
type message struct {
	text []byte

	// Scratch: the header's lines, and whose they are. Bytes are cheaper to sort
	// than what points to them.
	lines  []byte
	fields []field
}

// field is where the lines of one name stand.
type field struct {
	start          uint64 // of the name, to compare it at once
	from, name, to int
}

var messages = sync.Pool{New: func() any { return &message{text: make([]byte, 0, 4<<10)} }}

// free gives m back. Nobody may use it any more.
func (m *message) free() {
	if cap(m.text) > maxPooled || cap(m.lines) > maxLines || cap(m.fields) > maxFields {
		return
	}
	m.text, m.lines, m.fields = m.text[:0], m.lines[:0], m.fields[:0]
	messages.Put(m)
}

// compose returns the head of r as it goes to host, or nil if net/http has to
// send r: it asks for something out of the ordinary, or is one that net/http
// refuses, and then the word is net/http's.
func compose(r *http.Request, host string) *message {
	if r.Context().Err() != nil || !ordinary(r) || !plainHost(host) {
		return nil
	}
	m := messages.Get().(*message)
	if !m.target(r) || !m.header(r, host) {
		m.free()
		return nil
	}
	return m
}

// ordinary reports whether r, its header apart, is one for us.
func ordinary(r *http.Request) bool {
	if r.Close || len(r.Trailer) > 0 || len(r.TransferEncoding) > 0 || r.Method == http.MethodConnect ||
		!httpguts.ValidHeaderFieldName(r.Method) { // both are tokens
		return false
	}
	if !hasBody(r) {
		return r.ContentLength == 0
	}
	return r.ContentLength > 0 && r.ContentLength <= maxBuffered
}

func hasBody(r *http.Request) bool { return r.Body != nil && r.Body != http.NoBody }

// plainHost reports whether host can be sent as it is.
func plainHost(host string) bool {
	for i := range len(host) {
		switch c := host[i]; {
		case 'a' <= c|0x20 && c|0x20 <= 'z', '0' <= c && c <= '9', c == '-', c == '.', c == '_', c == ':', c == '[', c == ']':
		default:
			return false
		}
	}
	return host != ""
}

// target writes the request line.
func (m *message) target(r *http.Request) bool {
	m.text = append(append(m.text, r.Method...), ' ')
	start := len(m.text)
	switch {
	case strings.HasPrefix(r.URL.Opaque, "//"): // net/http puts the scheme before it
		return false
	case r.URL.Opaque != "":
		m.text = append(m.text, r.URL.Opaque...)
		if r.URL.ForceQuery || r.URL.RawQuery != "" {
			m.text = append(append(m.text, '?'), r.URL.RawQuery...)
		}
	default:
		m.text = append(m.text, r.URL.RequestURI()...)
	}
	for _, c := range m.text[start:] {
		if c <= ' ' || c == 0x7f {
			return false
		}
	}
	m.text = append(m.text, " HTTP/1.1\r\n"...)
	return true
}

// header writes the fields in net/http's order.
func (m *message) header(r *http.Request, host string) bool {
	m.text = appendLine(m.text, "Host", host)
	agent := "Go-http-client/1.1"
	if values, ok := r.Header["User-Agent"]; ok { // empty: none is sent
		agent = ""
		if len(values) > 0 {
			agent = textproto.TrimString(values[0])
		}
	}
	if agent != "" {
		m.text = appendLine(m.text, "User-Agent", agent)
	}
	if r.ContentLength > 0 || r.Method == "POST" || r.Method == "PUT" || r.Method == "PATCH" {
		m.text = append(m.text, "Content-Length: "...)
		m.text = append(strconv.AppendInt(m.text, r.ContentLength, 10), "\r\n"...)
	}
	for name, values := range r.Header {
		if !m.field(name, values) {
			return false
		}
	}
	slices.SortFunc(m.fields, m.compare)
	for _, f := range m.fields {
		m.text = append(m.text, m.lines[f.from:f.to]...)
	}
	m.text = append(m.text, "\r\n"...)
	return true
}

func appendLine(text []byte, name, value string) []byte {
	text = append(append(text, name...), ": "...)
	return append(append(text, value...), "\r\n"...)
}

// field takes a field that is still to be written. It fails if that is for this
// connection alone, or cannot be sent.
func (m *message) field(name string, values []string) bool {
	switch name {
	case "Connection", "Expect", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return false
	}
	if n, _ := token(name); n == 0 || n != len(name) {
		return false
	}
	from, lines := len(m.lines), m.lines
	for _, v := range values {
		if !isValue(v) {
			return false
		}
		lines = appendLine(lines, name, textproto.TrimString(v))
	}
	written := name == "Host" || name == "User-Agent" || name == "Content-Length"
	if !written && len(values) > 0 {
		m.lines = lines
		m.fields = append(m.fields, field{start: start(name), from: from, name: from + len(name), to: len(lines)})
	}
	return true
}

// start returns the first bytes of name as a number by which names are in order.
func start(name string) (n uint64) {
	for i := range 8 {
		n <<= 8
		if i < len(name) {
			n |= uint64(name[i])
		}
	}
	return n
}

func (m *message) compare(a, b field) int {
	if a.start != b.start {
		return cmp.Compare(a.start, b.start)
	}
	return bytes.Compare(m.lines[a.from:a.name], m.lines[b.from:b.name])
}
