package downstream_test

import (
	"bytes"
	"slices"
	"testing"
)

// FuzzAsNetHTTP has a client say anything, in pieces, to a handler that does
// anything.
func FuzzAsNetHTTP(f *testing.F) {
	seed(f)
	one, other := open(f, standard, nil), open(f, lane, nil)
	f.Fuzz(func(t *testing.T, text, cuts, acts []byte) {
		if len(text) > 4<<10 || len(cuts) > 16 || len(acts) > 8 {
			return
		}
		s := atOnce(string(text) + askProbe)
		s.ends = true
		for _, n := range cuts {
			s.cuts = append(s.cuts, int(n))
		}
		does := fuzzed(acts)
		if long := does.count("write 20 KiB") * (bytes.Count(text, []byte("\n\r\n")) + 1); long > 2 {
			return // some of it may be lost when the connection is reset
		}
		compare(t, one, other, s, does)
	})
}

// fuzzed returns a program of acts that may be fuzzed: those before notFuzzed.
// When a handler panics, what it has written but not flushed may be in one buffer
// or another.
func fuzzed(choice []byte) (p program) {
	for _, i := range choice {
		i %= byte(len(acts) - len(notFuzzed) - len(oddLengths))
		if isOneOf(panics, i) && slices.ContainsFunc(p, func(i byte) bool { return isOneOf(writes, i) }) {
			p = append(p, does("flush")...)
		}
		p = append(p, i)
	}
	return p
}

func (p program) count(name string) (n int) {
	for _, i := range p {
		if acts[i].name == name {
			n++
		}
	}
	return n
}

// seed gives the fuzzer what stands in the tables.
func seed(f *testing.F) {
	for _, tests := range allRequests() {
		for _, tt := range tests {
			if len(tt.text) < 1<<10 {
				f.Add([]byte(tt.text), []byte{}, []byte(usual))
				f.Add([]byte(askBefore+tt.text), []byte{20, 9, 9, 1, 2}, []byte(tt.does))
			}
		}
	}
	for _, tests := range answers {
		for _, names := range tests {
			f.Add([]byte("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n"+plainPost), []byte{}, []byte(does(names...)))
			f.Add([]byte(plainPost+to("/a")), []byte{0, 200}, []byte(does(names...)))
		}
	}
}
