package upstream

import (
	"bytes"
	"net/http"
	"strings"
)

// head reads the Connection fields out of a response's head as it goes by.
//
// It is there because net/http drops the whole field from a response when one
// of its options is close, so that the fields named beside close could not be
// removed, as RFC 9110 section 7.6.1 demands. It is lenient: what is no
// response at all is net/http's to refuse.
type head struct {
	options []byte // the values so far, joined by commas

	line       []byte // the beginning of a line that has not ended
	status     bool   // the status line has been read
	more       bool   // an interim response: another head follows
	connection bool   // the last field was Connection
}

// maxKept bounds the memory that a connection keeps for its next head, when one
// was huge.
const maxKept = 4 << 10

// reset makes h ready for the next response. It keeps the memory, if that is
// little.
func (h *head) reset() {
	if cap(h.options)+cap(h.line) > maxKept {
		*h = head{}
		return
	}
	*h = head{options: h.options[:0], line: h.line[:0]}
}

// scan reads on in p, and reports whether the head has ended.
func (h *head) scan(p []byte) (ended bool) {
	for {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			h.line = append(h.line, p...)
			return false
		}
		line := p[:i]
		if len(h.line) > 0 {
			h.line = append(h.line, line...)
			line, h.line = h.line, h.line[:0]
		}
		p = p[i+1:]
		if h.take(bytes.TrimSuffix(line, []byte{'\r'})) {
			return true
		}
	}
}

// begun reports whether any part of a head has been read.
func (h *head) begun() bool { return h.status || len(h.line) > 0 }

// take reads one line, and reports whether it ends the head.
func (h *head) take(line []byte) (ended bool) {
	switch {
	case !h.status:
		_, code, _ := bytes.Cut(line, []byte{' '})
		code = bytes.TrimLeft(code, " ")
		h.status = true
		h.more = bytes.HasPrefix(code, []byte{'1'}) && !bytes.HasPrefix(code, []byte("101"))
	case len(line) == 0:
		if !h.more {
			return true
		}
		h.reset()
	case line[0] == ' ' || line[0] == '\t': // obsolete line folding
		if h.connection {
			h.options = append(append(h.options, ' '), line...)
		}
	default:
		name, value, _ := bytes.Cut(line, []byte{':'})
		h.connection = len(name) == len("Connection") && strings.EqualFold(string(name), "Connection")
		if h.connection {
			h.options = append(append(h.options, ','), value...)
		}
	}
	return false
}

// stripNamed removes the fields that the Connection header of resp names: they
// were meant for us alone. A 101 keeps the two that make it one. Where that
// header was taken out for the close in it, beside is what it said.
func stripNamed(resp *http.Response, beside string) {
	values, told := resp.Header["Connection"]
	if !told {
		if resp.Close && beside != "" {
			stripOptions(resp, beside)
		}
		return
	}
	for _, options := range values {
		stripOptions(resp, options)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		delete(resp.Header, "Connection")
	}
}

func stripOptions(resp *http.Response, options string) {
	for name := range strings.SplitSeq(options, ",") {
		name = http.CanonicalHeaderKey(strings.Trim(name, " \t"))
		if name != "Upgrade" || resp.StatusCode != http.StatusSwitchingProtocols {
			delete(resp.Header, name)
		}
	}
}

// wantsUpgrade reports whether a request asks to change the protocol.
func wantsUpgrade(h http.Header) bool {
	if h.Get("Upgrade") == "" {
		return false
	}
	for _, options := range h["Connection"] {
		for option := range strings.SplitSeq(options, ",") {
			if strings.EqualFold(strings.Trim(option, " \t"), "upgrade") {
				return true
			}
		}
	}
	return false
}
