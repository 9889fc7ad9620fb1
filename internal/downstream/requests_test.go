package downstream_test

import "strings"

const (
	plainGet  = "GET / HTTP/1.1\r\nHost: x\r\n"
	post      = "POST / HTTP/1.1\r\nHost: x\r\n"
	plainPost = post + "Content-Length: 5\r\n\r\nhello"
)

// to is a request for target.
func to(target string) string { return "GET " + target + " HTTP/1.1\r\nHost: x\r\n\r\n" }

// with is a GET with these lines in its head.
func with(lines ...string) string { return plainGet + strings.Join(lines, "\r\n") + "\r\n\r\n" }

// sends is a POST with these lines in its head, and what follows.
func sends(body string, lines ...string) string {
	return post + strings.Join(append(lines, ""), "\r\n") + "\r\n" + body
}

// lines are requests with odd first lines and hosts, by what is special in them.
var lines = map[string][]heard{
	"first line": {
		{name: "ordinary", text: plainGet + "\r\n"},
		{name: "HEAD", text: "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n"},
		{name: "OPTIONS", text: "OPTIONS / HTTP/1.1\r\nHost: x\r\n\r\n"},
		{name: "OPTIONS of all", text: "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"},
		{name: "DELETE", text: "DELETE /a HTTP/1.1\r\nHost: x\r\n\r\n"},
		{name: "TRACE", text: "TRACE / HTTP/1.1\r\nHost: x\r\n\r\n"},
		{name: "CONNECT", text: "CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n"},
		{name: "CONNECT with a path", text: "CONNECT /a HTTP/1.1\r\nHost: x\r\n\r\n"},
		{name: "method nobody knows", text: "BREW / HTTP/1.1\r\nHost: x\r\n\r\n"},
		{name: "method in small letters", text: "get / HTTP/1.1\r\nHost: x\r\n\r\n"},
		{name: "method of odd tokens", text: "M-S!#$%&'*+.^_`|~1 / HTTP/1.1\r\nHost: x\r\n\r\n"},
		{name: "method that is none", text: "G(T / HTTP/1.1\r\nHost: x\r\n\r\n"},
		{name: "method above ASCII", text: "G\xc4T / HTTP/1.1\r\nHost: x\r\n\r\n"},
		{name: "no method", text: " / HTTP/1.1\r\nHost: x\r\n\r\n"},
		{name: "two spaces", text: "GET  / HTTP/1.1\r\nHost: x\r\n\r\n"},
		{name: "a tab", text: "GET\t/ HTTP/1.1\r\nHost: x\r\n\r\n"},
		{name: "space at the end", text: "GET / HTTP/1.1 \r\nHost: x\r\n\r\n"},
		{name: "space before", text: " GET / HTTP/1.1\r\nHost: x\r\n\r\n"},
		{name: "empty line before", text: "\r\n" + plainGet + "\r\n"},
		{name: "LF before", text: "\n" + plainGet + "\r\n"},
		{name: "empty lines before", text: "\r\n\r\n\r\n" + plainGet + "\r\n"},
		{name: "LF alone", text: "GET / HTTP/1.1\nHost: x\n\n"},
		{name: "LF alone, once", text: "GET / HTTP/1.1\nHost: x\r\n\r\n"},
		{name: "CR within", text: "GET /\r HTTP/1.1\r\nHost: x\r\n\r\n"},
		{name: "two CR", text: "GET / HTTP/1.1\r\r\nHost: x\r\n\r\n"},
		{name: "nothing", text: "", ends: true},
		{name: "part of a method", text: "GETX", ends: true},
		{name: "part of a line", text: "GET / HT", ends: true},
		{name: "a line", text: "GET / HTTP/1.1\r\n", ends: true},
		{name: "part of a head", text: plainGet, ends: true},
		{name: "part of a name", text: plainGet + "X-", ends: true},
		{name: "CR of the last line", text: plainGet + "\r", ends: true},
		{name: "a whole one, and no more", text: plainGet + "\r\n", ends: true},
		{name: "one and a half", text: plainGet + "\r\nGET /", ends: true},
	},
	"version": {
		{name: "HTTP/1.0", text: "GET / HTTP/1.0\r\n\r\n"},
		{name: "HTTP/1.0 kept alive", text: "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"},
		{name: "HTTP/1.0 with chunks", text: "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{name: "HTTP/0.9", text: "GET /\r\n"},
		{name: "HTTP/1.2", text: "GET / HTTP/1.2\r\nHost: x\r\n\r\n"},
		{name: "HTTP/1.10", text: "GET / HTTP/1.10\r\nHost: x\r\n\r\n"},
		{name: "HTTP/2.0", text: "GET / HTTP/2.0\r\nHost: x\r\n\r\n"},
		{name: "HTTP/11", text: "GET / HTTP/11\r\nHost: x\r\n\r\n"},
		{name: "http/1.1", text: "GET / http/1.1\r\nHost: x\r\n\r\n"},
		{name: "preface of HTTP/2", text: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
		{name: "TLS", text: "\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n"},
		{name: "SSH", text: "SSH-2.0-x\r\n"},
		{name: "PROXY", text: "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" + plainGet + "\r\n"},
	},
	"target": {
		{name: "absolute", text: to("http://y:81/a?b")},
		{name: "absolute without a path", text: to("http://y")},
		{name: "absolute, another scheme", text: to("gopher://y/a")},
		{name: "absolute with a user", text: to("http://u:p@y/a")},
		{name: "authority", text: to("y:80")},
		{name: "two slashes", text: to("//y/a")},
		{name: "three slashes", text: to("///a")},
		{name: "slashes within", text: to("/a//b///")},
		{name: "dots", text: to("/a/../b/./c/..")},
		{name: "no path", text: to("?a")},
		{name: "a star", text: to("*")},
		{name: "a star after the slash", text: to("/*")},
		{name: "empty query", text: to("/?")},
		{name: "two queries", text: to("/?a?b=c&d;e&%zz")},
		{name: "fragment", text: to("/a#b")},
		{name: "fragment of nothing", text: to("/a#")},
		{name: "bad escape", text: to("/%zz")},
		{name: "half an escape", text: to("/%2")},
		{name: "escaped slash", text: to("/a%2Fb%2fc")},
		{name: "escapes without need", text: to("/%41%2e%7E%00")},
		{name: "what could be escaped", text: to("/a[b]{c}|d\\e^f\"g<h>`")},
		{name: "semicolon and more", text: to("/a;b=c,d:e@f!$&'()*+=")},
		{name: "above ASCII", text: to("/\xc3\xa4\xff")},
		{name: "above ASCII in the query", text: to("/?\xc3\xa4\xff")},
		{name: "a space", text: to("/a b")},
		{name: "a tab", text: to("/a\tb")},
		{name: "NUL", text: to("/a\x00b")},
		{name: "DEL", text: to("/a\x7fb")},
		{name: "DEL in the query", text: to("/?a\x7fb")},
		{name: "colon first", text: to(":80/")},
		{name: "colon in the path", text: to("/a:b")},
		{name: "long", text: to("/" + strings.Repeat("a", 3000))},
		{name: "longer than a buffer", text: to("/" + strings.Repeat("a", 9000))},
	},
	"host": {
		{name: "none", text: "GET / HTTP/1.1\r\n\r\n"},
		{name: "none, absolute target", text: "GET http://y/ HTTP/1.1\r\n\r\n"},
		{name: "two", text: with("Host: y")},
		{name: "the same twice", text: with("Host: x")},
		{name: "empty", text: "GET / HTTP/1.1\r\nHost:\r\n\r\n"},
		{name: "spaces", text: "GET / HTTP/1.1\r\nHost:  \t x \t \r\n\r\n"},
		{name: "no space", text: "GET / HTTP/1.1\r\nHost:x\r\n\r\n"},
		{name: "a port", text: "GET / HTTP/1.1\r\nHost: x:8080\r\n\r\n"},
		{name: "a bad port", text: "GET / HTTP/1.1\r\nHost: x:y:z\r\n\r\n"},
		{name: "IPv6", text: "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n"},
		{name: "IPv6 with a zone", text: "GET / HTTP/1.1\r\nHost: [fe80::1%25eth0]\r\n\r\n"},
		{name: "in other letters", text: "GET / HTTP/1.1\r\nhOST: X.Example\r\n\r\n"},
		{name: "a list", text: "GET / HTTP/1.1\r\nHost: x, y\r\n\r\n"},
		{name: "a path", text: "GET / HTTP/1.1\r\nHost: x/y\r\n\r\n"},
		{name: "a user", text: "GET / HTTP/1.1\r\nHost: u@x\r\n\r\n"},
		{name: "a space", text: "GET / HTTP/1.1\r\nHost: x y\r\n\r\n"},
		{name: "signs", text: "GET / HTTP/1.1\r\nHost: a_b-c.~!$&'()*+,;=%41\r\n\r\n"},
		{name: "bad signs", text: "GET / HTTP/1.1\r\nHost: x<y>\r\n\r\n"},
		{name: "above ASCII", text: "GET / HTTP/1.1\r\nHost: \xc3\xa4\r\n\r\n"},
		{name: "last", text: "GET / HTTP/1.1\r\nX-A: b\r\nHost: x\r\n\r\n"},
	},
}
