package authz

import (
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// plainReader reads JSON as most people write it, into the values that encoding/json
// makes of it with UseNumber. What is not plain it does not read: strings with
// escapes, names that come twice in the outermost object, what is nested deep,
// and all that is no JSON. That is left to encoding/json, whose word counts.
//
// Strings and numbers are parts of the text and not copied.
type plainReader struct {
	text string
	at   int
}

// plainDepth is how deep a plainReader goes.
const plainDepth = 8

// readPlain returns the one object that text holds.
func readPlain(text string) (map[string]any, bool) {
	if !utf8.ValidString(text) {
		return nil, false // encoding/json repairs it
	}
	p := plainReader{text: text}
	if p.next() != '{' {
		return nil, false
	}
	object, unique, ok := p.object(plainDepth)
	return object, ok && unique && p.next() == end
}

// end is what next returns behind the text, where JSON has nothing: a NUL.
const end = 0

// next returns the next byte that is no space, and stays there.
func (p *plainReader) next() byte {
	for ; p.at < len(p.text); p.at++ {
		switch c := p.text[p.at]; c {
		case ' ', '\t', '\n', '\r':
		case end:
			return 1 // is no JSON either, and is not the end
		default:
			return c
		}
	}
	return end
}

// skip takes c, if it is what comes next.
func (p *plainReader) skip(c byte) bool {
	if p.next() != c {
		return false
	}
	p.at++
	return true
}

// value returns what comes next.
func (p *plainReader) value(depth int) (any, bool) {
	switch c := p.next(); {
	case c == '"':
		return boxed(p.string())
	case c == '-', c >= '0' && c <= '9':
		return boxed(p.number())
	case c == '{' && depth > 0:
		object, _, ok := p.object(depth - 1)
		return object, ok
	case c == '[' && depth > 0:
		return boxed(p.array(depth - 1))
	case c == 't':
		return true, p.word("true")
	case c == 'f':
		return false, p.word("false")
	case c == 'n':
		return nil, p.word("null")
	}
	return nil, false
}

func boxed[T any](v T, ok bool) (any, bool) {
	if !ok {
		return nil, false
	}
	return v, true
}

// object returns the object that begins here, and whether no name is in it
// twice; if one is, the last counts.
func (p *plainReader) object(depth int) (_ map[string]any, unique, ok bool) {
	p.at++
	object := make(map[string]any)
	if p.skip('}') {
		return object, true, true
	}
	for n := 1; ; n++ {
		if p.next() != '"' {
			return nil, false, false
		}
		name, ok := p.string()
		if !ok || !p.skip(':') {
			return nil, false, false
		}
		value, ok := p.value(depth)
		if !ok {
			return nil, false, false
		}
		object[name] = value
		if p.skip('}') {
			return object, len(object) == n, true
		}
		if !p.skip(',') {
			return nil, false, false
		}
	}
}

func (p *plainReader) array(depth int) ([]any, bool) {
	p.at++
	array := []any{} // encoding/json makes no nil of an empty one
	if p.skip(']') {
		return array, true
	}
	for {
		value, ok := p.value(depth)
		if !ok {
			return nil, false
		}
		array = append(array, value)
		if p.skip(']') {
			return array, true
		}
		if !p.skip(',') {
			return nil, false
		}
	}
}

// string returns the string that begins here.
func (p *plainReader) string() (string, bool) {
	p.at++
	begin := p.at
	for ; p.at < len(p.text); p.at++ {
		switch c := p.text[p.at]; {
		case c == '"':
			p.at++
			return p.text[begin : p.at-1], true
		case c == '\\', c < ' ':
			return "", false
		}
	}
	return "", false
}

func (p *plainReader) word(word string) bool {
	if !strings.HasPrefix(p.text[p.at:], word) {
		return false
	}
	p.at += len(word)
	return true
}

// number returns the number that begins here (RFC 8259 section 6).
func (p *plainReader) number() (json.Number, bool) {
	begin := p.at
	p.take("-")
	switch {
	case p.take("0"):
	case !p.digits():
		return "", false
	}
	if p.take(".") && !p.digits() {
		return "", false
	}
	if p.take("eE") {
		if p.take("+-"); !p.digits() {
			return "", false
		}
	}
	return json.Number(p.text[begin:p.at]), true
}

// take takes one byte, if it is one of those.
func (p *plainReader) take(one string) bool {
	if p.at == len(p.text) || strings.IndexByte(one, p.text[p.at]) < 0 {
		return false
	}
	p.at++
	return true
}

// digits takes digits, and reports whether there was one.
func (p *plainReader) digits() bool {
	begin := p.at
	for p.at < len(p.text) && p.text[p.at] >= '0' && p.text[p.at] <= '9' {
		p.at++
	}
	return p.at > begin
}
