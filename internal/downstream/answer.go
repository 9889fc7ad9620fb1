package downstream

import (
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/net/http/httpguts"
)

// fields are those of an answer that its framing decides on, as the handler has
// set them.
type fields struct {
	connection []string
	typed      bool // there is a Content-Type
	encoded    bool // there is a Content-Encoding: the body is not what it looks like
	dated      bool
	trailers   []string // announced
	announced  bool     // some are, or may come
}

// WriteHeader implements http.ResponseWriter. It panics if status has not three
// digits.
func (w *writer) WriteHeader(status int) {
	switch {
	case w.status != 0:
		w.c.s.logf("http: superfluous response.WriteHeader call: %d after %d", status, w.status)
		return
	case status < 100 || status > 999:
		panic("invalid WriteHeader code " + strconv.Itoa(status))
	case status < 200 && status != http.StatusSwitchingProtocols:
		w.interim(status)
		return
	}
	w.status = status
	if said := w.header["Content-Length"]; len(said) > 0 && said[0] != "" {
		n, err := strconv.ParseInt(said[0], 10, 64)
		if err != nil || n < 0 {
			w.c.s.logf("http: invalid Content-Length of %q", said[0])
		} else {
			w.length = n
		}
	}
	w.statusLine(status)
	for name, values := range w.header {
		if w.own.take(name, values) || status == http.StatusNotModified && name == "Content-Type" {
			continue
		}
		w.field(name, values)
	}
	if w.given {
		w.header, w.given = nil, false
	}
}

// interim writes a 1xx response.
func (w *writer) interim(status int) {
	w.statusLine(status)
	for name, values := range w.header {
		if name != "Content-Length" && name != "Transfer-Encoding" {
			w.field(name, values)
		}
	}
	w.put(lineEnd)
	w.flush(nil)
}

// take reports whether a field is not to be written by now, and remembers what
// it says.
func (f *fields) take(name string, values []string) bool {
	switch name {
	case "Content-Length", "Transfer-Encoding":
		return true
	case "Connection":
		f.connection = values
		return true
	case "Date":
		f.dated = true
	case "Content-Type":
		f.typed = true
	case "Content-Encoding":
		f.encoded = len(values) > 0 && values[0] != ""
	case "Trailer":
		f.announced = f.announced || len(values) > 0
		for _, v := range values {
			for t := range strings.SplitSeq(v, ",") {
				t = http.CanonicalHeaderKey(strings.Trim(t, " \t"))
				if t != "" && httpguts.ValidTrailerHeader(t) {
					f.trailers = append(f.trailers, t)
				}
			}
		}
	default:
		if strings.HasPrefix(name, http.TrailerPrefix) {
			f.announced = true
			return true
		}
	}
	return false
}

// frame completes the head. first is what is first written of the body; whole:
// that is all of it.
func (w *writer) frame(first []byte, whole bool) {
	w.framed = true
	body := mayHaveBody(w.status)
	if whole && w.length < 0 && body && !w.own.announced && (!w.head || len(first) > 0) {
		w.length = int64(len(first))
	}
	if body && !w.own.typed && !w.own.encoded && len(first) > 0 {
		w.line("Content-Type", http.DetectContentType(first))
	}
	if !w.own.dated {
		w.line("Date", now())
	}
	switch {
	case !body:
	case w.length >= 0:
		w.line("Content-Length", strconv.FormatInt(w.length, 10))
	case !w.head:
		w.chunks = true
		w.line("Transfer-Encoding", "chunked")
	}
	said := w.own.connection
	if len(said) > 0 && said[0] == "close" || w.c.s.stopping.Load() {
		w.close = true
	}
	if w.close && !httpguts.HeaderValuesContainsToken(said, "close") {
		said = []string{"close"}
	}
	w.field("Connection", said)
	w.put(lineEnd)
}

// trailers ends a body in chunks.
func (w *writer) trailers() {
	w.buf = append(w.buf, "0\r\n"...)
	for name, values := range w.header {
		if name, ok := strings.CutPrefix(name, http.TrailerPrefix); ok {
			w.field(name, values)
		}
	}
	for _, name := range w.own.trailers {
		w.field(name, w.header[name])
	}
	w.put(lineEnd)
}

func (w *writer) statusLine(status int) {
	w.buf = append(w.buf, "HTTP/1.1 "...)
	w.buf = strconv.AppendInt(w.buf, int64(status), 10)
	w.buf = append(w.buf, ' ')
	if text := http.StatusText(status); text != "" {
		w.buf = append(w.buf, text...)
	} else {
		w.buf = append(w.buf, "status code "...)
		w.buf = strconv.AppendInt(w.buf, int64(status), 10)
	}
	w.buf = append(w.buf, lineEnd...)
}

// field writes a field that a handler has set. Like net/http it leaves those out
// whose name is none, and lets no value begin another line.
func (w *writer) field(name string, values []string) {
	if len(values) == 0 || !httpguts.ValidHeaderFieldName(name) {
		return
	}
	for _, v := range values {
		if strings.ContainsAny(v, "\r\n") {
			v = newlines.Replace(v)
		}
		w.line(name, strings.Trim(v, " \t\r\n"))
	}
}

var newlines = strings.NewReplacer("\n", " ", "\r", " ")

func (w *writer) line(name, value string) {
	w.buf = append(w.buf, name...)
	w.buf = append(w.buf, ": "...)
	w.buf = append(w.buf, value...)
	w.buf = append(w.buf, lineEnd...)
}

func (w *writer) put(p string) { w.buf = append(w.buf, p...) }

// mayHaveBody reports whether an answer with this status may have one.
func mayHaveBody(status int) bool {
	return status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}

// second is a second as it is written in Date.
type second struct {
	at   int64
	text string
}

var today atomic.Pointer[second]

// now returns the time as it is written in Date.
func now() string {
	t := time.Now()
	if d := today.Load(); d != nil && d.at == t.Unix() {
		return d.text
	}
	d := &second{t.Unix(), t.UTC().Format(http.TimeFormat)}
	today.Store(d)
	return d.text
}
