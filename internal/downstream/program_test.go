package downstream_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"
)

// turn is one call of a handler.
type turn struct {
	w       http.ResponseWriter
	r       *http.Request
	control *http.ResponseController
	seen    *seen
	late    bool // the time for writing is over: how far it got is not told
	broken  bool // the body was not whole
}

func (t *turn) did(what string, result ...any) {
	t.seen.Did = append(t.seen.Did, what+" "+strings.TrimSpace(fmt.Sprintln(result...)))
}

// wrote tells of a Write, unless its end depends on what was still buffered.
func (t *turn) wrote(n int64, err error) {
	if !t.late {
		t.did("write", n, err)
	}
}

// read tells of a Read, unless an earlier one has failed: then net/http says
// that the body has ended.
func (t *turn) read(read []byte, err error) {
	t.seen.Body += string(read)
	if !t.broken {
		t.did("read", len(read), err)
	}
	t.broken = t.broken || err != nil && err != io.EOF
}

// program is what a handler does: indices of acts.
type program []byte

// does returns the program of the acts with these names.
func does(names ...string) (p program) {
	for _, name := range names {
		i := slices.IndexFunc(acts, func(a act) bool { return a.name == name })
		if i < 0 {
			panic("no act is called " + name)
		}
		p = append(p, byte(i))
	}
	return p
}

func (p program) run(t *turn) {
	for _, i := range p {
		acts[i].do(t)
	}
}

// duplex reports whether p reads when it has written. Else net/http's server,
// which is not full duplex if it is not told to be, is not told: it stumbles over
// a body that is left ("invalid concurrent Body.Read call").
func (p program) duplex() bool {
	first := slices.IndexFunc(p, func(i byte) bool { return isOneOf(writes, i) })
	return first >= 0 && slices.ContainsFunc(p[first:], func(i byte) bool { return isOneOf(reads, i) })
}

func isOneOf(some []act, i byte) bool {
	return slices.ContainsFunc(some, func(a act) bool { return a.name == acts[i].name })
}

func (p program) String() string {
	var names []string
	for _, i := range p {
		names = append(names, acts[i].name)
	}
	return strings.Join(names, ", ")
}

// act is a thing that a handler may do.
type act struct {
	name string
	do   func(*turn)
}

// acts are all of them.
var acts = slices.Concat(reads, statuses, writes, fields, panics, deadlines, notFuzzed, oddLengths)

var (
	reads = []act{
		{"read", func(t *turn) {
			all, err := io.ReadAll(t.r.Body)
			t.read(all, err)
		}},
		{"read 3", func(t *turn) {
			var b [3]byte
			n, err := io.ReadFull(t.r.Body, b[:]) // how much comes at once is the network's
			t.read(b[:n], err)
		}},
		{"read nothing", func(t *turn) {
			_, err := t.r.Body.Read(nil)
			t.read(nil, err)
		}},
		{"close body", func(t *turn) {
			if err := t.r.Body.Close(); !t.broken {
				t.did("close", err)
			}
		}},
	}

	statuses = []act{
		status(100), status(101), status(103), status(199), status(200), status(201), status(204), status(205),
		status(304), status(404), status(500), status(599), status(999),
	}

	writes = []act{
		{"write nothing", write("")},
		{"write", write("hello")},
		{"write HTML", write("<html>hi")},
		{"write 2048", write(strings.Repeat("a", 2048))},
		{"write 2049", write(strings.Repeat("b", 2049))},
		{"write 3 KiB", write(strings.Repeat("c", 3<<10))},
		{"write 4 KiB", write(strings.Repeat("d", 4<<10))},
		{"write 20 KiB", write(strings.Repeat("e", 20<<10))},
		{"write a string", func(t *turn) {
			n, err := io.WriteString(t.w, "hello")
			t.wrote(int64(n), err)
		}},
		{"flush", func(t *turn) { t.did("flush", t.control.Flush()) }},
		{"flush as ever", func(t *turn) { t.w.(http.Flusher).Flush() }},
	}

	panics = []act{
		status(0), status(99), status(1000),
		{"panic", func(*turn) { panic("boom") }},
		{"abort", func(*turn) { panic(http.ErrAbortHandler) }},
	}

	deadlines = []act{
		{"deadlines to come", func(t *turn) {
			at := time.Now().Add(time.Hour)
			t.did("deadlines", t.control.SetReadDeadline(at), t.control.SetWriteDeadline(at))
		}},
	}

	// Whether the client gets all of these before a connection is reset, or what
	// of them had left a buffer in time, depends on the network.
	notFuzzed = []act{
		// net/http copies more than the Content-Length says.
		{"copy", func(t *turn) {
			n, err := io.Copy(t.w, io.LimitReader(strings.NewReader(strings.Repeat("f", 6<<10)), 5<<10))
			t.wrote(n, err)
		}},
		{"write 100 KiB", write(strings.Repeat("g", 100<<10))},
		{"no time to write", func(t *turn) {
			t.did("deadline", t.control.SetWriteDeadline(time.Unix(1, 0)))
			t.late = true
		}},
		{"give a header", func(t *turn) {
			if s, ok := t.w.(interface{ SetHeader(http.Header) bool }); ok && !s.SetHeader(http.Header{}) {
				t.did("the header is not taken")
			}
		}},
		{"no time to read", func(t *turn) { t.did("deadline", t.control.SetReadDeadline(time.Unix(1, 0))) }},
		{"flush in vain", func(t *turn) {
			err := t.control.Flush()
			t.did("flush", errors.Is(err, os.ErrDeadlineExceeded))
		}},
	}
)

func status(code int) act {
	return act{fmt.Sprint(code), func(t *turn) { t.w.WriteHeader(code) }}
}

func write(text string) func(*turn) {
	return func(t *turn) {
		n, err := t.w.Write([]byte(text))
		t.wrote(int64(n), err)
	}
}
