package validation

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"unicode/utf8"
)

// errComplex is the error of a document that is JSON, and more of it than is
// accepted.
var errComplex = errors.New("too complex")

// maxExponent bounds the exponents of numbers, and maxDigits their length.
// None of what is beyond fits a float64 better; to compute with it exactly, as
// a schema does, takes long.
const (
	maxExponent = 400
	maxDigits   = 1000
)

// scanner goes once through the bytes of a JSON text (RFC 8259), before
// anything makes objects of them. It demands what the RFC does, UTF-8
// included, and bounds what parsers fail at. A zero bound is none.
type scanner struct {
	data   []byte
	at     int
	depth  int  // that arrays and objects may nest
	tokens int  // that there may be: values, names, arrays, objects
	unique bool // no object has two members of one name

	count   int
	deepest int
	names   [][]byte // of the objects that are open
}

// scan reports what is wrong with data; an error that is errComplex if it is
// too much. The text of an error holds nothing of data.
func (s *scanner) scan() error {
	if at := invalidUTF8(s.data); at >= 0 {
		return fmt.Errorf("byte %d is not UTF-8", at)
	}
	if s.unique {
		s.names = make([][]byte, 0, few)
	}
	if s.depth == 0 {
		s.depth = math.MaxInt
	}
	if s.tokens == 0 {
		s.tokens = math.MaxInt
	}
	if err := s.value(1); err != nil {
		return err
	}
	if s.space(); s.at < len(s.data) {
		return s.wrong("the end")
	}
	return nil
}

func invalidUTF8(data []byte) int {
	if utf8.Valid(data) {
		return -1
	}
	for at := 0; at < len(data); {
		r, n := utf8.DecodeRune(data[at:])
		if r == utf8.RuneError && n <= 1 {
			return at
		}
		at += n
	}
	return -1
}

func (s *scanner) wrong(wanted string) error {
	return fmt.Errorf("not JSON: %s is missing at byte %d", wanted, s.at)
}

func (s *scanner) space() {
	for s.at < len(s.data) && isSpace[s.data[s.at]] {
		s.at++
	}
}

var isSpace = [256]bool{' ': true, '\t': true, '\r': true, '\n': true}

// next returns the byte that comes after white space; 0 at the end.
func (s *scanner) next() byte {
	if s.space(); s.at < len(s.data) {
		return s.data[s.at]
	}
	return 0
}

func (s *scanner) tooMany() error {
	return fmt.Errorf("%w: at most %d values and names are accepted", errComplex, s.tokens)
}

// value scans a value that, if it is an array or object, is at that depth.
func (s *scanner) value(depth int) error {
	c := s.next()
	if s.count++; s.count > s.tokens {
		return s.tooMany()
	}
	switch c {
	case '{', '[':
		if depth > s.depth {
			return fmt.Errorf("%w: at most %d levels are accepted", errComplex, s.depth)
		}
		s.at++
		s.deepest = max(s.deepest, depth)
		if c == '{' {
			return s.object(depth)
		}
		return s.array(depth)
	case '"':
		_, err := s.text()
		return err
	case 't':
		return s.word("true")
	case 'f':
		return s.word("false")
	case 'n':
		return s.word("null")
	}
	return s.number()
}

func (s *scanner) array(depth int) error {
	if s.next() == ']' {
		s.at++
		return nil
	}
	for {
		if err := s.value(depth + 1); err != nil {
			return err
		}
		if done, err := s.more(']'); done || err != nil {
			return err
		}
	}
}

// more goes over what stands between two members and reports whether it was
// the end.
func (s *scanner) more(end byte) (done bool, err error) {
	switch s.next() {
	case ',':
		s.at++
		return false, nil
	case end:
		s.at++
		return true, nil
	}
	return false, s.wrong("a comma or an end")
}

func (s *scanner) object(depth int) error {
	first := len(s.names)
	var seen map[string]bool
	if s.next() == '}' {
		s.at++
		return nil
	}
	for {
		name, err := s.name()
		if err != nil {
			return err
		}
		if s.unique {
			if seen, err = s.remember(seen, first, name); err != nil {
				return err
			}
		}
		if s.next() != ':' {
			return s.wrong("a colon")
		}
		s.at++
		if err := s.value(depth + 1); err != nil {
			return err
		}
		if done, err := s.more('}'); done || err != nil {
			s.names = s.names[:first]
			return err
		}
		s.next()
	}
}

// few is how many names are looked through one by one.
const few = 16

// remember adds name to those of the object whose names begin at first; seen has
// them too once they are more than few. It is an error if it is there: of two
// members some parsers take the first, others the last, and we would check
// another one than the upstream uses.
func (s *scanner) remember(seen map[string]bool, first int, name []byte) (map[string]bool, error) {
	if seen == nil {
		for _, have := range s.names[first:] {
			if string(have) == string(name) {
				return nil, s.twice()
			}
		}
		if len(s.names)-first < few {
			s.names = append(s.names, name)
			return nil, nil
		}
		seen = map[string]bool{}
		for _, have := range s.names[first:] {
			seen[string(have)] = true
		}
	}
	if seen[string(name)] {
		return nil, s.twice()
	}
	seen[string(name)] = true
	return seen, nil
}

func (s *scanner) twice() error {
	return fmt.Errorf("a name stands twice in one object, before byte %d", s.at)
}

// name scans the name of a member and returns what it stands for.
func (s *scanner) name() ([]byte, error) {
	if s.count++; s.count > s.tokens {
		return nil, s.tooMany()
	}
	from := s.at
	escaped, err := s.text()
	if err != nil || !s.unique {
		return nil, err
	}
	if !escaped {
		return s.data[from+1 : s.at-1], nil
	}
	var name string
	if err := json.Unmarshal(s.data[from:s.at], &name); err != nil {
		return nil, s.wrong("a name")
	}
	return []byte(name), nil
}

// text scans a string.
func (s *scanner) text() (escaped bool, err error) {
	if s.at == len(s.data) || s.data[s.at] != '"' {
		return false, s.wrong("a name")
	}
	for s.at++; ; {
		s.at = ordinary(s.data, s.at)
		switch {
		case s.at == len(s.data) || s.data[s.at] < ' ':
			return false, s.wrong("the end of a string")
		case s.data[s.at] == '"':
			s.at++
			return escaped, nil
		}
		s.at++
		escaped = true
		if !s.escape() {
			return false, s.wrong("an escape")
		}
	}
}

// ordinary returns where, from at on, data has the first byte that does not stand for
// itself in a string: a quote, a backslash, a control character or the end. It
// looks at eight at a time.
func ordinary(data []byte, at int) int {
	const each, top = 0x0101010101010101, 0x8080808080808080
	for ; len(data)-at >= 8; at += 8 {
		eight := binary.LittleEndian.Uint64(data[at:])
		backslash := eight ^ '\\'*each
		low := eight ^ ('"'^' ')*each // a quote comes right behind the control characters
		// The lowest bit that is left is in the first byte that is one of them.
		if is := ((backslash-each)&^backslash | (low-(' '+1)*each)&^low) & top; is != 0 {
			return at + bits.TrailingZeros64(is)/8
		}
	}
	for at < len(data) && data[at] != '"' && data[at] != '\\' && data[at] >= ' ' {
		at++
	}
	return at
}

func (s *scanner) escape() bool {
	if s.at == len(s.data) {
		return false
	}
	c := s.data[s.at]
	s.at++
	if c != 'u' {
		return bytes.IndexByte([]byte(`"\/bfnrt`), c) >= 0
	}
	for range 4 {
		if s.at == len(s.data) || !isHex(s.data[s.at]) {
			return false
		}
		s.at++
	}
	return true
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func (s *scanner) word(w string) error {
	if !bytes.HasPrefix(s.data[s.at:], []byte(w)) {
		return s.wrong("a value")
	}
	s.at += len(w)
	return nil
}

func (s *scanner) number() error {
	from := s.at
	s.skip('-')
	if !s.skip('0') && s.digits() == 0 {
		return s.wrong("a value")
	}
	if s.skip('.') && s.digits() == 0 {
		return s.wrong("a digit")
	}
	exponent := 0
	if s.skip('e') || s.skip('E') {
		if !s.skip('+') {
			s.skip('-')
		}
		begin := s.at
		if s.digits() == 0 {
			return s.wrong("a digit")
		}
		var err error
		if exponent, err = strconv.Atoi(string(s.data[begin:s.at])); err != nil {
			exponent = maxExponent + 1
		}
	}
	if s.at-from > maxDigits || exponent > maxExponent {
		return fmt.Errorf("%w: a number has more than %d digits or an exponent beyond %d", errComplex, maxDigits, maxExponent)
	}
	return nil
}

func (s *scanner) skip(c byte) bool {
	if s.at < len(s.data) && s.data[s.at] == c {
		s.at++
		return true
	}
	return false
}

func (s *scanner) digits() int {
	from := s.at
	for s.at < len(s.data) && s.data[s.at] >= '0' && s.data[s.at] <= '9' {
		s.at++
	}
	return s.at - from
}
