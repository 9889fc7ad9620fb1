package downstream

// octet says where a byte may stand.
type octet byte

const (
	inToken octet = 1 << iota
	inPath        // and is itself there, escaped by nobody
	inHost
	inTarget
	inText
)

var octets = func() (all [256]octet) {
	set := func(kind octet, bytes string) {
		for _, b := range []byte(bytes) {
			all[b] |= kind
		}
	}
	const alphanumeric = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	set(inToken, alphanumeric+"!#$%&'*+-.^_`|~") // RFC 9110 section 5.6.2
	set(inPath, alphanumeric+"/-._~")
	set(inHost, alphanumeric+"-._:[]")
	for b := range all {
		if b > ' ' && b != 0x7f {
			all[b] |= inTarget
		}
		if b >= ' ' && b != 0x7f || b == '\t' {
			all[b] |= inText
		}
	}
	return all
}()

func is(kind octet, s string) bool {
	for i := range len(s) {
		if octets[s[i]]&kind == 0 {
			return false
		}
	}
	return true
}

func isToken(s string) bool     { return s != "" && is(inToken, s) }
func isHost(s string) bool      { return s != "" && is(inHost, s) }
func isTarget(s string) bool    { return s != "" && s[0] == '/' && is(inTarget, s) }
func isPlainPath(s string) bool { return is(inPath, s) }

// isText reports whether s has no control character but tabs. It looks at eight
// bytes at a time, as far as there are none.
func isText(s string) bool {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	for len(s) >= 8 {
		x := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
		del := x ^ 0x7f*ones
		if ((x-' '*ones)&^x|(del-ones)&^del)&tops != 0 {
			break // or a tab: the table knows
		}
		s = s[8:]
	}
	return is(inText, s)
}
