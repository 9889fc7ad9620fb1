package upstream

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWhatConnectionNamesGoesNoFurther(t *testing.T) {
	eachTransport(t, func(t *testing.T, to maker) {
		const ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Hop: 1\r\nX-End: 1\r\n"
		tests := []struct{ name, text, want string }{
			{"nothing named", ok + "\r\n", "Content-Length X-End X-Hop"},
			{"beside keep-alive", ok + "Connection: keep-alive, X-Hop\r\n\r\n", "Content-Length X-End"},
			{"beside close", ok + "Connection: close, X-Hop\r\n\r\n", "Content-Length X-End"},
			{"before close, in any case", ok + "CONNECTION:x-hop ,\tclose\r\n\r\n", "Content-Length X-End"},
			{"in another field than close", ok + "Connection: x-hop\r\nA: b\r\nConnection: close\r\n\r\n", "A Content-Length X-End"},
			{"in a folded line", ok + "Connection: close,\r\n\tX-Hop\r\n\r\n", "Content-Length X-End"},
			{"with lines that end in LF alone", strings.ReplaceAll(ok+"Connection: close, X-Hop\r\n\r\n", "\r", ""), "Content-Length X-End"},
			{"close alone", ok + "Connection: close\r\n\r\n", "Content-Length X-End X-Hop"},
			{"a field of that name in a body", "HTTP/1.1 200 OK\r\nConnection: close\r\nX-Hop: 1\r\n\r\nConnection: X-Hop\r\n\r\n", "X-Hop"},
			{"after an interim response that names another", "HTTP/1.1 103 Early Hints\r\nConnection: X-End\r\n\r\n" + ok + "Connection: close, X-Hop\r\n\r\n", "Content-Length X-End"},
			{"by HTTP/1.0", "HTTP/1.0 200 OK\r\nX-Hop: 1\r\nConnection: close, X-Hop\r\n\r\n", ""},
		}
		split := map[string]func(io.Writer, string){
			"at once": func(w io.Writer, text string) { io.WriteString(w, text) },
			"byte by byte": func(w io.Writer, text string) {
				for i := range text {
					io.WriteString(w, text[i:i+1])
				}
			},
		}
		for _, tt := range tests {
			for how, write := range split {
				t.Run(tt.name+" "+how, func(t *testing.T) {
					u := to(t, nil, raw(t, func(c *net.TCPConn, in *bufio.Reader) {
						for {
							if _, err := readRequest(in); err != nil {
								return
							}
							write(c, tt.text)
							if tt.name == "a field of that name in a body" || tt.name == "by HTTP/1.0" {
								return
							}
						}
					}))
					for range 2 { // the second time over the same connection, if it is kept
						resp, _ := get(t, u, request("GET", "/", ""))
						if got := fields(resp.Header); got != tt.want {
							t.Errorf("fields = %q, want %q", got, tt.want)
						}
					}
				})
			}
		}
	})
}

// fields returns the names of h, sorted.
func fields(h http.Header) string {
	var b strings.Builder
	h.Write(&b)
	var names []string
	for line := range strings.Lines(b.String()) {
		name, _, _ := strings.Cut(line, ":")
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

func TestAHeadIsReadWithoutAllocation(t *testing.T) {
	text := []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n")
	var h head
	if got := testing.AllocsPerRun(100, func() {
		h.reset()
		if h.scan(text[:40]) || !h.scan(text[40:]) {
			t.Fatal("the head ends elsewhere")
		}
	}); got != 0 {
		t.Errorf("%v allocations, want 0", got)
	}
}

// FuzzHead compares with net/textproto, which reads the same head for net/http.
func FuzzHead(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nConnection: close, X\r\nA: b\r\n\r\nConnection: body"), 7)
	f.Add([]byte("HTTP/1.1 200 OK\nconnection: close,\n\t X\n \n\n"), 1)
	f.Add([]byte("HTTP/1.1 200 OK\r\nConnection: a\r\nConnection: \r\n b\r\n\r\n"), 100)
	f.Fuzz(func(t *testing.T, text []byte, size int) {
		r := textproto.NewReader(bufio.NewReader(bytes.NewReader(text)))
		line, err := r.ReadLine()
		if err != nil {
			return
		}
		if _, code, _ := strings.Cut(line, " "); strings.HasPrefix(strings.TrimLeft(code, " "), "1") {
			return // an interim response: another head follows
		}
		header, err := r.ReadMIMEHeader()
		if err != nil {
			return
		}
		var h head
		ended := false
		for rest := text; len(rest) > 0 && !ended; {
			n := min(max(size, 1), len(rest))
			ended = h.scan(rest[:n])
			rest = rest[n:]
		}
		if !ended {
			t.Fatalf("%q does not end", text)
		}
		want, got := options(strings.Join(header["Connection"], ",")), options(string(h.options))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("options of %q (-want +got):\n%s", text, diff)
		}
	})
}

func options(value string) []string {
	var names []string
	for name := range strings.SplitSeq(value, ",") {
		if name = strings.Join(strings.Fields(name), " "); name != "" {
			names = append(names, name)
		}
	}
	return names
}

func BenchmarkHead(b *testing.B) {
	var text strings.Builder
	text.WriteString("HTTP/1.1 200 OK\r\nDate: Mon, 23 Nov 2026 00:00:00 GMT\r\nContent-Type: application/json\r\n")
	for i := range 8 {
		fmt.Fprintf(&text, "X-Field-%d: some value of a usual length\r\n", i)
	}
	text.WriteString("\r\n")
	head, p := head{}, []byte(text.String())
	b.ReportAllocs()
	for b.Loop() {
		head.reset()
		head.scan(p)
	}
}
