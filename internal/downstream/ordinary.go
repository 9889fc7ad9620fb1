package downstream

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"sidecar/internal/exchange"
)

// head is that of an ordinary request: one that leaves no two opinions about
// where it ends and whom it is for, and asks for nothing but an answer.
// net/http's server would make the same request of it (RFC 9112); whatever is
// out of the ordinary in the least is left to it.
type head struct {
	method, target, host string
	url                  url.URL
	header               http.Header
	length               int64
	sized, connection    bool // there was a Content-Length, a Connection
	close                bool

	values [16]string // of fields; more have their own place
	n      int
}

// parse reports whether text, up to its empty line, is such a head.
func (h *head) parse(text string) bool {
	line, fields, _ := strings.Cut(text, lineEnd)
	if !h.requestLine(line) {
		return false
	}
	h.header = make(http.Header, 12)
	for fields != lineEnd {
		line, fields, _ = strings.Cut(fields, lineEnd)
		if !h.field(line) {
			return false
		}
	}
	if pragma := h.header["Pragma"]; pragma != nil && pragma[0] == "no-cache" && h.header["Cache-Control"] == nil {
		h.header["Cache-Control"] = []string{"no-cache"} // as net/http does (RFC 9111 section 5.4)
	}
	return h.host != ""
}

// requestLine reports whether line is a method, a path and HTTP/1.1.
func (h *head) requestLine(line string) bool {
	method, rest, _ := strings.Cut(line, " ")
	target, ok := strings.CutSuffix(rest, " HTTP/1.1")
	if n, _ := exchange.Token(method); !ok || n == 0 || n != len(method) || !isTarget(target) {
		return false
	}
	h.method, h.target = method, target
	path, query, asked := strings.Cut(target, "?")
	if isPlainPath(path) {
		h.url.Path, h.url.RawQuery, h.url.ForceQuery = path, query, asked && query == ""
		return true
	}
	u, err := url.ParseRequestURI(target)
	if err == nil {
		h.url = *u
	}
	return err == nil
}

// field reports whether line is a field that an ordinary head may have.
func (h *head) field(line string) bool {
	n, canonical := exchange.Token(line)
	if n == 0 || n == len(line) || line[n] != ':' || !exchange.IsFieldValue(line[n+1:]) {
		return false
	}
	name, value := line[:n], strings.Trim(line[n+1:], " \t")
	if !canonical {
		name = http.CanonicalHeaderKey(name)
	}
	switch name {
	case "Te", "Expect", "Upgrade", "Trailer", "Transfer-Encoding":
		return false
	case "Host":
		if h.host != "" || !isHost(value) {
			return false
		}
		h.host = value
		return true
	case "Connection":
		if h.connection {
			return false
		}
		h.connection, h.close = true, strings.EqualFold(value, "close")
		if !h.close && !strings.EqualFold(value, "keep-alive") {
			return false
		}
	case "Content-Length":
		n, err := strconv.ParseUint(value, 10, 63)
		if err != nil || h.sized {
			return false
		}
		h.sized, h.length = true, int64(n)
	}
	h.add(name, value)
	return true
}

func (h *head) add(name, value string) {
	if before := h.header[name]; before != nil {
		h.header[name] = append(before, value)
		return
	}
	if h.n == len(h.values) {
		h.header[name] = []string{value}
		return
	}
	h.values[h.n] = value
	h.n++
	h.header[name] = h.values[h.n-1 : h.n : h.n]
}

// request returns what a handler gets.
func (h *head) request(ctx *requestContext, remote string) *http.Request {
	r := http.Request{
		Method: h.method, URL: &h.url, Host: h.host, RequestURI: h.target, RemoteAddr: remote,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: h.header, Body: http.NoBody, ContentLength: h.length, Close: h.close,
	}
	return r.WithContext(ctx)
}

const (
	lineEnd = "\r\n"
	headEnd = "\r\n\r\n"
)

// mayBeOrdinary reports whether the beginning of a head can still become an
// ordinary one.
func mayBeOrdinary(begun []byte) bool {
	if len(begun) > 0 && (begun[0] < 'A' || begun[0] > 'Z') {
		return false
	}
	for i, b := range begun {
		if b == '\n' && begun[i-1] != '\r' || b < ' ' && b != '\r' && b != '\n' && b != '\t' {
			return false
		}
	}
	return true
}
