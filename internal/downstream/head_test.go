package downstream

import (
	"bufio"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/net/http/httpguts"
)

// FuzzOrdinaryHead: of every head that is ordinary net/http makes the same
// request, and ends it at the same byte. FuzzAsNetHTTP says so too, of what it
// reaches; this one reaches far more in the same time.
func FuzzOrdinaryHead(f *testing.F) {
	for _, lines := range []string{
		"GET / HTTP/1.1|Host: x",
		"POST /a%2Fb?c=d#e HTTP/1.1|hOST:\tx.example:80 |Content-Length: 05|Connection: Keep-Alive",
		"M-X //a/../b;c?%zz&\xff HTTP/1.1|Host: [::1]|X-A: 1|x-a:  2\t|Pragma: no-cache|Connection: close",
		"GET /\xc3\xa4{}|\x5e?a?b HTTP/1.1|A:|Host: x|!#$%&'*+-.^_`~: \x80\xff",
		"CONNECT /a HTTP/1.1|Host: x|Cache-Control: a|Pragma: no-cache, b",
		"GET / HTTP/1.1|Host: x|Host: y",
		"GET / HTTP/1.1|Host: x|Content-Length: 1|Content-Length: 1",
		"GET / HTTP/1.1|Host: x|Transfer-Encoding: chunked",
		"GET / HTTP/1.1|Host: x|A: b| c: d",
		"GET / HTTP/1.1|Host: x|A : b",
		"PRI * HTTP/2.0",
	} {
		f.Add(strings.ReplaceAll(lines, "|", lineEnd) + headEnd)
	}
	f.Fuzz(func(t *testing.T, text string) {
		i := strings.Index(text, headEnd)
		if i < 0 {
			return
		}
		text = text[:i+len(headEnd)]
		var h head
		if !h.parse(text) {
			return
		}
		got := h.request(&requestContext{}, "")
		in := bufio.NewReaderSize(strings.NewReader(text), len(text)+1)
		want, err := http.ReadRequest(in)
		if err != nil {
			t.Fatalf("%q is ordinary, but for net/http: %v", text, err)
		}
		if in.Buffered() > 0 {
			t.Errorf("net/http leaves %d bytes of %q", in.Buffered(), text)
		}
		if diff := cmp.Diff(want, got, sameRequest); diff != "" {
			t.Errorf("%q is another request (-net/http +lane):\n%s", text, diff)
		}
		// What net/http's server asks for besides.
		if n := hosts(text); n != 1 || !httpguts.ValidHostHeader(got.Host) {
			t.Errorf("%q has %d Hosts, and is for %q", text, n, got.Host)
		}
		for name, values := range got.Header {
			for _, v := range values {
				if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(v) {
					t.Errorf("%q has the field %q: %q", text, name, v)
				}
			}
		}
	})
}

func hosts(text string) (n int) {
	for line := range strings.SplitSeq(text, lineEnd) {
		if name, _, ok := strings.Cut(line, ":"); ok && strings.EqualFold(name, "host") {
			n++
		}
	}
	return n
}

// sameRequest compares all of two requests but their bodies and contexts.
var sameRequest = cmp.Options{
	cmpopts.IgnoreUnexported(http.Request{}),
	cmpopts.IgnoreFields(http.Request{}, "Body"),
	cmp.AllowUnexported(url.Userinfo{}),
}
