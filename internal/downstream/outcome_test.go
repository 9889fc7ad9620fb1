package downstream_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// outcome is all that can be seen of one connection: by the handler, by the
// client, and in the log.
type outcome struct {
	Seen    []seen
	Answers []answer
	Rest    string // what came after the last of them, and is none
	Hangs   bool   // the server kept the connection, and said no more
	Logged  []string
}

// answer is one to a client.
type answer struct {
	Interim         [][]string // the heads of 1xx before it
	Head            []string   // its lines, ordered by name; see allowed_test.go
	Chunked         bool
	Body, BodyError string
	Trailer         http.Header
}

// understand takes apart what the client heard.
func (o *outcome) understand(heard string) {
	from := strings.NewReader(heard)
	in := bufio.NewReader(from)
	var a answer
	for {
		text := heard[len(heard)-from.Len()-in.Buffered():]
		if text == "" && a.Interim == nil {
			return
		}
		head, _, _ := strings.Cut(text, "\r\n\r\n")
		asked := &http.Request{Method: http.MethodGet}
		if len(o.Answers) < len(o.Seen) {
			asked.Method = o.Seen[len(o.Answers)].Method
		}
		resp, err := http.ReadResponse(in, asked)
		if err != nil {
			o.Rest = fmt.Sprintf("%q after %d interim: %v", inOrder(head), len(a.Interim), err)
			return
		}
		if resp.StatusCode < 200 && resp.StatusCode != http.StatusSwitchingProtocols {
			a.Interim = append(a.Interim, inOrder(head))
			continue
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			a.BodyError = err.Error()
		}
		a.Head, a.Body, a.Trailer = inOrder(head), string(body), resp.Trailer
		a.Chunked = slices.Equal(resp.TransferEncoding, []string{"chunked"})
		o.Answers = append(o.Answers, a)
		a = answer{}
	}
}

// compare has the same said to net/http's server and to the lane.
func compare(t testing.TB, one, other *house, s speech, p program) {
	t.Helper()
	want, got := allow(one.talk(t, s, p)), allow(other.talk(t, s, p))
	if slices.Contains(want.Logged, stumble) || slices.Contains(got.Logged, stumble) {
		return
	}
	if !reflect.DeepEqual(want, got) { // quicker than cmp
		diff := cmp.Diff(want, got, cmp.AllowUnexported(url.Userinfo{}))
		t.Errorf("the lane differs when a client says %s\nand the handler does: %s (-net/http +lane):\n%s", s, p, diff)
	}
}

func (s speech) String() string {
	var b strings.Builder
	for _, text := range s.says {
		if len(text) > 1<<10 {
			text = text[:1<<10] + fmt.Sprintf("... (%d bytes)", len(text))
		}
		fmt.Fprintf(&b, "%q ", text)
	}
	if s.ends {
		b.WriteString("and no more ")
	}
	if len(s.cuts) > 0 {
		fmt.Fprintf(&b, "cut %d times", len(s.cuts))
	}
	return b.String()
}
