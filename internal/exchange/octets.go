package exchange

// tokens says of each byte whether a field name may have it (RFC 9110 section
// 5.6.2), and which case it has if it is a letter.
var tokens = func() (t [256]octet) {
	for _, c := range []byte("!#$%&'*+-.^_`|~0123456789") {
		t[c] = inToken
	}
	for c := 'a'; c <= 'z'; c++ {
		t[c] = inToken | lowerCase
		t[c-'a'+'A'] = inToken | upperCase
	}
	return t
}()

type octet byte

const (
	inToken octet = 1 << iota
	lowerCase
	upperCase
)

// Token returns how many bytes s begins with that a field name may have, and
// whether they are one in its canonical form.
func Token[T string | []byte](s T) (n int, canonical bool) {
	other, wrong := lowerCase, octet(0)
	for ; n < len(s); n++ {
		kind := tokens[s[n]]
		if kind == 0 {
			break
		}
		wrong |= kind & other
		if other = upperCase; s[n] == '-' {
			other = lowerCase
		}
	}
	return n, wrong == 0
}

// Canonicalise writes a field name as net/http does.
func Canonicalise(name []byte) {
	other := lowerCase
	for i, c := range name {
		if tokens[c]&other != 0 {
			name[i] = c ^ 0x20
		}
		if other = upperCase; c == '-' {
			other = lowerCase
		}
	}
}

// IsFieldValue reports whether s can be a field value: it has no control character
// but tabs. It looks at eight bytes at a time, as far as there are none.
func IsFieldValue[T string | []byte](s T) bool {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	i := 0
	for ; i+8 <= len(s); i += 8 {
		x := uint64(s[i]) | uint64(s[i+1])<<8 | uint64(s[i+2])<<16 | uint64(s[i+3])<<24 |
			uint64(s[i+4])<<32 | uint64(s[i+5])<<40 | uint64(s[i+6])<<48 | uint64(s[i+7])<<56
		del := x ^ 0x7f*ones
		if ((x-' '*ones)&^x|(del-ones)&^del)&tops != 0 {
			break // or one that has both at once: the next loop knows
		}
	}
	for ; i < len(s); i++ {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
