package upstream

import (
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/net/http/httpguts"

	"sidecar/internal/exchange"
)

const (
	// maxBuffered is the longest body that is read before it is sent.
	maxBuffered = 64 << 10

	// maxPooled is the largest buffer that is kept for the next request.
	maxPooled = maxBuffered + bufferSize
)

// message is a request in the form in which it is sent: what net/http would
// write, but with the fields in any order (RFC 9110 section 5.3).
type message struct {
	text  []byte
	agent bool // User-Agent is among the fields
	bad   bool // one of the fields is for this connection alone, or cannot be sent
}

var messages = sync.Pool{New: func() any { return &message{text: make([]byte, 0, 4<<10)} }}

// free gives m back. Nobody may use it any more.
func (m *message) free() {
	if cap(m.text) <= maxPooled {
		m.text = m.text[:0]
		messages.Put(m)
	}
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

// header writes the fields. It fails if one is for this connection alone, or
// cannot be sent.
func (m *message) header(r *http.Request, host string) (ok bool) {
	m.agent, m.bad = false, false
	m.line("Host", host)
	if r.ContentLength > 0 || r.Method == "POST" || r.Method == "PUT" || r.Method == "PATCH" {
		m.text = append(m.text, "Content-Length: "...)
		m.text = append(strconv.AppendInt(m.text, r.ContentLength, 10), "\r\n"...)
	}
	if t, ok := r.Context().(exchange.Teller); ok && r.Header == nil {
		t.Tell(m)
	} else {
		for name, values := range exchange.HeaderOf(r) {
			if !m.Field(name, values) {
				break
			}
		}
	}
	if !m.agent {
		m.line("User-Agent", "Go-http-client/1.1")
	}
	m.text = append(m.text, "\r\n"...)
	return !m.bad
}

// Field writes a field as net/http does. It implements exchange.Fields.
func (m *message) Field(name string, values []string) bool {
	n := len(values) // are written
	switch name {
	case "Connection", "Expect", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade":
		m.bad = true
	case "Host", "Content-Length":
		n = 0 // they are there already
	case "User-Agent": // net/http has one, and none that is empty
		m.agent = true
		if n = min(n, 1); n == 1 && textproto.TrimString(values[0]) == "" {
			n = 0
		}
	}
	if size, _ := exchange.Token(name); size == 0 || size != len(name) {
		m.bad = true
	}
	for i, v := range values {
		if !exchange.IsFieldValue(v) {
			m.bad = true
		}
		if i < n {
			m.line(name, textproto.TrimString(v))
		}
	}
	return !m.bad
}

func (m *message) line(name, value string) {
	m.text = append(append(m.text, name...), ": "...)
	m.text = append(append(m.text, value...), "\r\n"...)
}
