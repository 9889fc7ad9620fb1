package upstream

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// read returns the response in text, its body and what follows, as plain reads
// it; no response if its head is not plain.
func (h *plain) read(text []byte) (resp *http.Response, body, bodyError, rest string) {
	if !h.scan(text) {
		return nil, "", "", ""
	}
	resp = h.response()
	in := bufio.NewReader(bytes.NewReader(text[len(h.text):]))
	if s, ok := resp.Body.(*stream); ok {
		s.wire = &wire{in: in}
		for p := make([]byte, 7); bodyError == ""; {
			n, err := s.read(p)
			s.left -= int64(n)
			body += string(p[:n])
			if err != nil {
				bodyError = err.Error()
			}
		}
	}
	left, _ := io.ReadAll(in)
	return resp, body, bodyError, string(left)
}

// comparePlain fails if text is read as plain and net/http reads it otherwise,
// and reports whether it is read so.
func comparePlain(t *testing.T, text string) bool {
	t.Helper()
	in := bufio.NewReader(strings.NewReader(text))
	want, err := http.ReadResponse(in, nil)
	p, h := []byte(text), plain{}
	got, body, bodyError, rest := h.read(p)
	if got == nil {
		again, errAgain := http.ReadResponse(bufio.NewReader(bytes.NewReader(p)), nil)
		if (err == nil) != (errAgain == nil) || err == nil && !cmp.Equal(want, again, seen) {
			t.Errorf("%q was left to net/http as %q, which is another response", text, p)
		}
		return false
	}
	if err != nil {
		t.Errorf("%q is read, want %v", text, err)
		return true
	}
	if diff := cmp.Diff(want, got, seen); diff != "" {
		t.Errorf("%q is read otherwise (-want +got):\n%s", text, diff)
	}
	if (want.Body == http.NoBody) != (got.Body == http.NoBody) {
		t.Errorf("%q has the body %T, want %T", text, got.Body, want.Body)
	}
	wantBody, err := io.ReadAll(want.Body)
	wantError := "EOF"
	if err != nil {
		wantError = err.Error()
	}
	if got.Body == http.NoBody {
		bodyError = "EOF"
	}
	wantRest, _ := io.ReadAll(in)
	if body != string(wantBody) || bodyError != wantError || rest != string(wantRest) {
		t.Errorf("%q has the body %q, %s and then %q, want %q, %s and %q", text, body, bodyError, rest, wantBody, wantError, wantRest)
	}
	return true
}

// seen is what a caller sees of a response, its body apart.
var seen = cmpopts.IgnoreFields(http.Response{}, "Body", "Request")

func TestAPlainHeadIsReadAsNetHTTPReadsIt(t *testing.T) {
	const ok, hi = "HTTP/1.1 200 OK\r\n", "Content-Length: 2\r\n\r\nhi"
	many := strings.Repeat("Set-Cookie: a=b\r\n", 20)
	tests := []struct {
		name, text string
		plain      bool
	}{
		{"a length", ok + hi, true},
		{"a length of nothing", ok + "Content-Length: 0\r\n\r\n", true},
		{"bytes after the body", ok + hi + "more", true},
		{"a body that is too short", ok + "Content-Length: 9\r\n\r\nhi", true},
		{"no reason", "HTTP/1.1 200 \r\n" + hi, true},
		{"a status of no class", "HTTP/1.1 999 Hm\r\n" + hi, true},
		{"names in any case", ok + "x-a-b: 1\r\nX-A-B: 2\r\nETAG: 3\r\ncontent-type: a\r\n" + hi, true},
		{"names without letters", ok + "-: 1\r\n9-a: 2\r\n_b: 3\r\n" + hi, true},
		{"blanks around a value", ok + "A: \t b c\t \r\nB:\r\nC:  \r\n" + hi, true},
		{"bytes above ASCII in a value", ok + "A: \xff\xc3\xa4\r\n" + hi, true},
		{"many fields", ok + many + hi, true},
		{"a length with zeros before", ok + "Content-Length: 0002\r\n\r\nhi", true},
		{"Connection: close", ok + "Connection: Close\r\n" + hi, true},
		{"Connection: keep-alive", ok + "connection: keep-alive\r\nKeep-Alive: timeout=5\r\n" + hi, true},

		{"Connection that names fields", ok + "Connection: close, A\r\n" + hi, false},
		{"Connection twice", ok + "Connection: close\r\nConnection: close\r\n" + hi, false},
		{"no length", ok + "\r\nhi", false},
		{"a length twice", ok + "Content-Length: 2\r\n" + hi, false},
		{"a length that is none", ok + "Content-Length: +2\r\n\r\nhi", false},
		{"a huge length", ok + "Content-Length: 1234567890123456789\r\n\r\nhi", false},
		{"chunks", ok + "transfer-encoding: chunked\r\n\r\n0\r\n\r\n", false},
		{"chunks and a length", ok + "Transfer-Encoding: chunked\r\n" + hi, false},
		{"Pragma", ok + "Pragma: no-cache\r\n" + hi, false},
		{"Trailer", ok + "Trailer: A\r\n" + hi, false},
		{"more fields than anybody needs", ok + many + many + many + hi, false},
		{"1xx", "HTTP/1.1 103 Early Hints\r\n" + hi, false},
		{"204", "HTTP/1.1 204 No Content\r\n" + hi, false},
		{"304", "HTTP/1.1 304 Not Modified\r\n" + hi, false},
		{"HTTP/1.0", "HTTP/1.0 200 OK\r\n" + hi, false},
		{"two blanks before the status", "HTTP/1.1  200 OK\r\n" + hi, false},
		{"a status of four digits", "HTTP/1.1 2000 OK\r\n" + hi, false},
		{"no blank after the status", "HTTP/1.1 200\r\n" + hi, false},
		{"a control character in the reason", "HTTP/1.1 200 O\x00K\r\n" + hi, false},
		{"a head that has not ended", ok + "Content-Length: 2\r\n", false},
		{"lines that end in LF alone", strings.ReplaceAll(ok+hi, "\r", ""), false},
		{"a line that ends in LF alone", ok + "A: b\n" + hi, false},
		{"a line that ends in CR alone", ok + "A: b\r" + hi, false},
		{"two CR", ok + "A: b\r\r\n" + hi, false},
		{"a folded field", ok + "A: b\r\n c\r\n" + hi, false},
		{"a folded first field", ok + " A: b\r\n" + hi, false},
		{"a blank before the colon", ok + "a-b : c\r\n" + hi, false},
		{"a field without a name", ok + ": b\r\n" + hi, false},
		{"a field without a colon", ok + "A\r\n" + hi, false},
		{"a NUL in a value", ok + "A: 12345678b\x00c\r\n" + hi, false},
		{"a DEL in a value", ok + "A: 1234\x7f678\r\n" + hi, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := comparePlain(t, tt.text); got != tt.plain {
				t.Errorf("it is plain: %v, want %v", got, tt.plain)
			}
		})
	}
}

func FuzzPlain(f *testing.F) {
	f.Add(usual)
	f.Add("HTTP/1.1 404 Not Found\r\nconnection: CLOSE\r\nX-a: b\r\nx-A:\tc \r\nContent-Length: 3\r\n\r\nhi")
	f.Add("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nA: b\r\n\tc\r\nPragma: no-cache\r\n\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > bufferSize {
			return
		}
		comparePlain(t, text)
	})
}
