package downstream

// octet says where a byte may stand.
type octet byte

const (
	inPath octet = 1 << iota // and is itself there, escaped by nobody
	inHost
	inTarget
)

var octets = func() (all [256]octet) {
	set := func(kind octet, bytes string) {
		for _, b := range []byte(bytes) {
			all[b] |= kind
		}
	}
	const alphanumeric = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	set(inPath, alphanumeric+"/-._~")
	set(inHost, alphanumeric+"-._:[]")
	for b := range all {
		if b > ' ' && b != 0x7f {
			all[b] |= inTarget
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

func isHost(s string) bool      { return s != "" && is(inHost, s) }
func isTarget(s string) bool    { return s != "" && s[0] == '/' && is(inTarget, s) }
func isPlainPath(s string) bool { return is(inPath, s) }
