package downstream_test

import (
	"strconv"
	"strings"
)

// bodies are requests with a body, and those behind them.
func bodies() map[string][]heard {
	requests := map[string][]heard{}
	big := strings.Repeat("0123456789abcdef", 300<<10/16)
	const chunked = "Transfer-Encoding: chunked"
	requests["length"] = []heard{
		{name: "of a body", text: plainPost},
		{name: "of nothing", text: sends("", "Content-Length: 0")},
		{name: "none", text: sends("")},
		{name: "none, but a body", text: sends("hello")},
		{name: "of a GET", text: with("Content-Length: 5") + "hello"},
		{name: "of a HEAD", text: "HEAD / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"},
		{name: "signed", text: sends("hello", "Content-Length: +5")},
		{name: "negative", text: sends("hello", "Content-Length: -5")},
		{name: "zero before", text: sends("hello", "Content-Length: 05")},
		{name: "two numbers", text: sends("hello", "Content-Length: 1 1")},
		{name: "a list", text: sends("hello", "Content-Length: 5, 5")},
		{name: "empty", text: sends("hello", "Content-Length:")},
		{name: "letters", text: sends("hello", "Content-Length: x")},
		{name: "hexadecimal", text: sends("hello", "Content-Length: 0x5")},
		{name: "a fraction", text: sends("hello", "Content-Length: 5.0")},
		{name: "underscore", text: sends("hello", "Content-Length: 0_5")},
		{name: "spaces around", text: sends("hello", "Content-Length: \t5 \t")},
		{name: "the same twice", text: sends("hello", "Content-Length: 5", "content-length: 5")},
		{name: "the same twice in two ways", text: sends("hello", "Content-Length: 5", "content-length: 05")},
		{name: "two", text: sends("hello", "Content-Length: 5", "Content-Length: 4")},
		{name: "huge", text: sends("hello", "Content-Length: 9223372036854775807"), ends: true},
		{name: "too huge", text: sends("hello", "Content-Length: 9223372036854775808")},
		{name: "far too huge", text: sends("hello", "Content-Length: 99999999999999999999999")},
		{name: "20 zeros", text: sends("hello", "Content-Length: 000000000000000000005")},
		{name: "with chunks", text: sends("5\r\nhello\r\n0\r\n\r\n", chunked, "Content-Length: 3")},
		{name: "with identity", text: sends("hello", "Transfer-Encoding: identity", "Content-Length: 5")},
	}
	requests["chunks"] = []heard{
		{name: "some", text: sends("2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n", chunked)},
		{name: "none", text: sends("0\r\n\r\n", chunked)},
		{name: "trailers", text: sends("5\r\nhello\r\n0\r\nX-A: b\r\n\r\n", chunked, "Trailer: X-A")},
		{name: "capitals", text: sends("5\r\nhello\r\n0\r\n\r\n", "transfer-encoding: Chunked")},
		{name: "broken", text: sends("z\r\nhello\r\n0\r\n\r\n", chunked)},
		{name: "gzip", text: sends("0\r\n\r\n", "Transfer-Encoding: gzip, chunked")},
		{name: "twice", text: sends("0\r\n\r\n", chunked, chunked)},
		{name: "empty coding", text: sends("0\r\n\r\n", "Transfer-Encoding:")},
		{name: "space before the colon", text: sends("0\r\n\r\n", "Transfer-Encoding : chunked")},
		{name: "too few", text: sends("5\r\nhel", chunked), ends: true},
	}
	partly, closed, nothing, late := does("read 3", "write"), does("close body", "read", "write"), does("write"), does("write", "flush", "read", "write")
	again := does("read 3", "read nothing", "read", "read", "close body", "read", "close body", "write")
	for name, b := range map[string]string{"small": "hello", "of 3 KiB": big[:3<<10], "of 20 KiB": big[:20<<10], "of 256 KiB": big[:256<<10], "of 300 KiB": big} {
		text := sends(b, "Content-Length: "+strconv.Itoa(len(b)))
		requests["body "+name] = []heard{
			{name: "read", text: text},
			{name: "read partly", text: text, does: partly},
			{name: "read and closed", text: text, does: again},
			{name: "closed", text: text, does: closed},
			{name: "closed in the middle", text: text, does: does("read 3", "close body", "write")},
			{name: "not read", text: text, does: nothing},
			{name: "not read, and nothing said", text: text, does: does()},
			{name: "not read, a long answer", text: text, does: does("write 20 KiB")},
			{name: "not read, the last", text: strings.Replace(text, "Host: x\r\n", "Host: x\r\nConnection: close\r\n", 1), does: nothing},
			{name: "not read, closed by the handler", text: text, does: does("Connection: close", "write")},
			{name: "read after the beginning of an answer", text: text, does: late},
			{name: "read, then a panic", text: text, does: does("read", "panic")},
			{name: "not read, and a panic", text: text, does: does("panic")},
		}
		short := text[:len(text)-1]
		requests["short body "+name] = []heard{
			{name: "read", text: short, ends: true},
			{name: "read partly", text: short, ends: true, does: partly},
			{name: "read again", text: short, ends: true, does: again},
			{name: "closed", text: short, ends: true, does: closed},
			{name: "not read", text: short, ends: true, does: nothing},
			{name: "read after the beginning of an answer", text: short, ends: true, does: late},
		}
	}
	requests["pipelined"] = []heard{
		{name: "two", text: to("/1") + to("/2")},
		{name: "twenty", text: strings.Repeat(to("/a"), 20)},
		{name: "a body, and a GET", text: plainPost + to("/2")},
		{name: "a body, and a GET, not read", text: plainPost + to("/2"), does: nothing},
		{name: "a body, and a GET, read partly", text: plainPost + to("/2"), does: partly},
		{name: "bodies", text: strings.Repeat(plainPost, 5)},
		{name: "no length, and what looks like a request", text: sends(to("/2"))},
		{name: "a body that looks like a request", text: sends(to("/2"), "Content-Length: "+strconv.Itoa(len(to("/2"))))},
		{name: "the last, and one more", text: with("Connection: close") + to("/2")},
		{name: "an odd one after", text: to("/1") + sends("0\r\n\r\n", chunked) + to("/3")},
		{name: "a bad one after", text: to("/1") + "bad\r\n\r\n"},
		{name: "a bad one after a body", text: plainPost + "\r\n\r\nbad"},
		{name: "more line ends behind a body than are skipped", text: plainPost + "\r\n\r\n\r\n" + to("/2")},
		{name: "line ends behind a GET behind a body", text: plainPost + to("/1") + "\r\n" + to("/2")},
		{name: "empty lines between", text: to("/1") + "\r\n\r\n" + to("/2")},
		{name: "HTTP/1.0 after", text: to("/1") + "GET /2 HTTP/1.0\r\n\r\n"},
		{name: "an upgrade after", text: to("/1") + with("Connection: Upgrade", "Upgrade: x")},
		{name: "a panic", text: to("/1") + to("/2"), does: does("panic")},
		{name: "a bad length", text: plainPost + to("/2"), does: does("Content-Length: 9", "write")},
	}
	return requests
}
