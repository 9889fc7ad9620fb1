package upstream

import (
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

	// maxPooled is the largest buffer that is kept for the next request, and
	// maxFields as many fields: all of them are cleared after each.
	maxPooled = maxBuffered + bufferSize
	maxFields = 256
)

// message is a request in the form in which it is sent, byte for byte as
// net/http would write it.
type message struct {
	text   []byte
	fields []field // scratch
}

type field struct {
	name   string
	values []string
}

var messages = sync.Pool{New: func() any { return &message{text: make([]byte, 0, 4<<10)} }}

// free gives m back. Nobody may use it any more.
func (m *message) free() {
	if cap(m.text) > maxPooled || cap(m.fields) > maxFields {
		return
	}
	m.text = m.text[:0]
	clear(m.fields[:cap(m.fields)]) // what they point to is the request's
	m.fields = m.fields[:0]
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
		case 'a' <= c|0x20 && c|0x20 <= 'z', '0' <= c && c <= '9', strings.IndexByte("-._:[]", c) >= 0:
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
	m.write("Host", host)
	agent := "Go-http-client/1.1"
	if values, ok := r.Header["User-Agent"]; ok { // empty: none is sent
		agent = ""
		if len(values) > 0 {
			agent = textproto.TrimString(values[0])
		}
	}
	if agent != "" {
		m.write("User-Agent", agent)
	}
	if r.ContentLength > 0 || r.Method == "POST" || r.Method == "PUT" || r.Method == "PATCH" {
		m.text = append(m.text, "Content-Length: "...)
		m.text = append(strconv.AppendInt(m.text, r.ContentLength, 10), "\r\n"...)
	}
	if !m.sort(r.Header) {
		return false
	}
	for _, f := range m.fields {
		for _, v := range f.values {
			m.write(f.name, textproto.TrimString(v))
		}
	}
	m.text = append(m.text, "\r\n"...)
	return true
}

func (m *message) write(name, value string) {
	m.text = append(append(m.text, name...), ": "...)
	m.text = append(append(m.text, value...), "\r\n"...)
}

// sort takes the fields that are still to be written, by name. It fails if one
// of them is for this connection alone, or cannot be sent.
func (m *message) sort(h http.Header) bool {
	for name, values := range h {
		switch name {
		case "Connection", "Expect", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade":
			return false
		}
		if !httpguts.ValidHeaderFieldName(name) {
			return false
		}
		for _, v := range values {
			if !httpguts.ValidHeaderFieldValue(v) {
				return false
			}
		}
		if name != "Host" && name != "User-Agent" && name != "Content-Length" {
			m.fields = append(m.fields, field{name, values})
		}
	}
	slices.SortFunc(m.fields, func(a, b field) int { return cmp.Compare(a.name, b.name) })
	return true
}
