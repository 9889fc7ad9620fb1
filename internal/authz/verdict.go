package authz

import (
	"io"
	"net/http"
	"strings"
	"unicode"

	"sidecar/internal/exchange"
)

// verdict is what a decision point said. It is immutable.
type verdict struct {
	status  int
	forward []exchange.Field // of a 2xx: for the upstream
	header  http.Header      // of a refusal: for the client
	content string           // type of body
	body    []byte
	keep    bool // may be remembered
}

func (v *verdict) allows() bool { return v.status/100 == 2 }

// read takes from resp what is passed on. The status has decided: a body that
// breaks off or does not end in time is cut there, and changes nothing.
func (e *External) read(resp *http.Response) *verdict {
	said := &verdict{status: resp.StatusCode}
	if said.allows() {
		_, _ = io.CopyN(io.Discard, resp.Body, maxAnswerBody) // so that the connection can be used again
		said.forward = toUpstream(resp.Header, e.config.ToUpstream)
	} else {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBody))
		said.toClient(resp.Header, body)
	}
	said.keep = (said.allows() || said.status == http.StatusUnauthorized || said.status == http.StatusForbidden) &&
		resp.Header["Set-Cookie"] == nil &&
		!strings.Contains(strings.ToLower(strings.Join(resp.Header["Cache-Control"], ",")), "no-store")
	return said
}

// told are the fields of a refusal that the client gets.
var told = []string{"Www-Authenticate", "Location", "Set-Cookie", "Retry-After", "Cache-Control"}

func (v *verdict) toClient(h http.Header, body []byte) {
	v.header = http.Header{}
	for _, name := range told {
		if values := h[name]; values != nil {
			v.header[name] = values
		}
	}
	if len(body) == 0 || h["Content-Encoding"] != nil { // nobody asked for an encoding, nor could it be cut
		return
	}
	v.body = body
	if v.content = h.Get("Content-Type"); v.content == "" {
		v.content = "text/plain; charset=utf-8" // or net/http would guess
	}
}

// toUpstream returns what the upstream gets to see in the fields called names.
func toUpstream(h http.Header, names []string) []exchange.Field {
	fields := make([]exchange.Field, len(names))
	for i, name := range names {
		value := strings.Join(h.Values(name), ", ")
		if strings.ContainsFunc(value, unicode.IsControl) {
			value = "" // no field can carry it
		}
		fields[i] = exchange.Field{Name: http.CanonicalHeaderKey(name), Value: value}
	}
	return fields
}

// size is what v takes, about.
func (v *verdict) size() int {
	n := len(v.body) + len(v.content)
	for _, f := range v.forward {
		n += len(f.Name) + len(f.Value)
	}
	for name, values := range v.header {
		for _, value := range values {
			n += len(name) + len(value)
		}
	}
	return n
}
