package upstream

import (
	"bytes"
	"math"
	"net/http"

	"sidecar/internal/exchange"
)

// plain is the head of a response about which there are no two opinions. It is
// read here because net/http takes several times as long for it. Whatever is
// out of the ordinary in the least is net/http's to read.
type plain struct {
	text   []byte // up to the empty line, and that
	status int
	reason int // where the status line ends
	length int64

	sized, connection, close bool

	n      int
	fields [48]span

	kept *answer // to be used again; nil: none is
}

// span is where a field stands in the text.
type span struct{ name, colon, from, to uint16 }

// plain returns the response to r, which is the attempt a, if its head is a
// plain one and here as a whole. Else it returns nil, and nothing was read.
func (w *wire) plain(r *http.Request, a *exchange.Attempt) *http.Response {
	if r.Method == http.MethodHead { // a length says nothing of the body
		return nil
	}
	here, _ := w.in.Peek(w.in.Buffered())
	var h plain
	if !h.scan(here) {
		return nil
	}
	h.kept, _ = a.Kept.(*answer)
	resp := h.response()
	if h.kept != nil {
		a.Kept = h.kept
	}
	_, _ = w.in.Discard(len(h.text))
	return resp
}

// scan reports whether p begins with a plain head. Like net/http it makes the
// names in p canonical.
func (h *plain) scan(p []byte) bool {
	end := bytes.Index(p, []byte("\r\n\r\n"))
	if end < 0 || end > math.MaxUint16-4 {
		return false
	}
	h.text = p[:end+4]
	h.reason = bytes.IndexByte(p, '\r')
	if !h.scanStatus(p[:h.reason]) {
		return false
	}
	for at := h.reason; at != end; {
		if p[at+1] != '\n' {
			return false
		}
		if at = h.scanField(at + 2); at < 0 {
			return false
		}
	}
	return h.sized
}

// scanStatus reads the status line.
func (h *plain) scanStatus(line []byte) bool {
	const version = "HTTP/1.1 "
	if len(line) < len(version)+4 || string(line[:len(version)]) != version || line[12] != ' ' || !exchange.IsFieldValue(line) {
		return false
	}
	status, ok := digits(line[9:12])
	h.status = int(status)
	return ok && status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}

// scanField reads the field that begins there, and returns where its line ends;
// -1 if it is not plain.
func (h *plain) scanField(at int) (end int) {
	n, canonical := exchange.Token(h.text[at:])
	colon := at + n
	if n == 0 || h.text[colon] != ':' {
		return -1
	}
	end = colon + bytes.IndexByte(h.text[colon:], '\r')
	from, to := colon+1, end
	for from < to && isBlank(h.text[from]) {
		from++
	}
	for from < to && isBlank(h.text[to-1]) {
		to--
	}
	name, value := h.text[at:colon], h.text[from:to]
	if !canonical {
		exchange.Canonicalise(name)
	}
	if h.n == len(h.fields) || !exchange.IsFieldValue(value) || !h.understand(name, value) {
		return -1
	}
	h.fields[h.n] = span{uint16(at), uint16(colon), uint16(from), uint16(to)}
	h.n++
	return end
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

// understand reads a field that says something of the message itself. It
// reports false for what is not plain.
func (h *plain) understand(name, value []byte) (ok bool) {
	switch string(name) {
	case "Content-Length":
		twice := h.sized
		h.length, ok = digits(value)
		h.sized = true
		return ok && !twice
	case "Connection":
		twice := h.connection
		h.connection = true
		h.close = bytes.EqualFold(value, []byte("close"))
		return !twice && (h.close || bytes.EqualFold(value, []byte("keep-alive")))
	case "Transfer-Encoding", "Trailer", "Pragma": // net/http takes them out, or another one in
		return false
	}
	return true
}

// digits returns the number that p is; false if it is none, or a huge one.
func digits(p []byte) (n int64, ok bool) {
	for _, c := range p {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int64(c-'0')
	}
	return n, 0 < len(p) && len(p) <= 18
}

// answer is a response with a plain head. It may be used again
// (exchange.Attempt.Kept), but for the values of its header, which go on to the
// client: who knows for how long they are looked at.
type answer struct {
	response http.Response
	stream   stream
	header   http.Header
}

// maxKeptFields is of how many fields the header is, at most, of an answer that
// is used again.
const maxKeptFields = 16

// Clear implements exchange.Memory.
func (a *answer) Clear() {
	header := a.header
	clear(header)
	*a = answer{header: header}
}

// response returns the response as net/http would, but for the request. Its
// body, if there is one, is a stream that has no wire yet.
func (h *plain) response() *http.Response {
	a := h.kept
	if a == nil || h.n > maxKeptFields {
		a = &answer{header: make(http.Header, h.n)}
	}
	if h.n <= maxKeptFields {
		h.kept = a
	}
	text := string(h.text)
	h.fill(a.header, text)
	a.response = http.Response{
		Status: text[len("HTTP/1.1 "):h.reason], StatusCode: h.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: a.header, ContentLength: h.length, Close: h.close, Body: http.NoBody,
	}
	if h.length > 0 {
		a.stream = stream{left: h.length}
		a.response.Body = &a.stream
	}
	return &a.response
}

// fill puts the fields, which stand in text, into header.
func (h *plain) fill(header http.Header, text string) {
	values := make([]string, h.n)
	for i, f := range h.fields[:h.n] {
		values[i] = text[f.from:f.to]
		header[text[f.name:f.colon]] = values[i : i+1 : i+1]
	}
	if len(header) < h.n { // some have several lines
		clear(header)
		for i, f := range h.fields[:h.n] {
			name := text[f.name:f.colon]
			header[name] = append(header[name], values[i])
		}
	}
	if h.close {
		delete(header, "Connection") // as net/http does
	}
}
