package downstream_test

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// heard is something that a client says, ordinary or not.
type heard struct {
	name, text string
	does       program // nil: reads the body and answers
	ends       bool    // the request is not whole, and the client says that no more comes
}

// The same bytes do the same as with net/http's server: at once, in pieces, and
// on a connection that has carried a request before. What becomes of the
// connection is seen by asking for one thing more.
func TestARequestIsHeardAsByNetHTTP(t *testing.T) {
	one, other := open(t, standard, nil), open(t, lane, nil)
	for subject, tests := range allRequests() {
		for _, tt := range tests {
			does, text := tt.does, tt.text+askProbe
			if does == nil {
				does = usual
			}
			if tt.ends {
				text = tt.text
			}
			ways := map[string]speech{
				"at once":      atOnce(text),
				"byte by byte": byteByByte(text),
				"line by line": lineByLine(text),
				"after one":    {says: []string{askBefore, text}},
				"pipelined":    atOnce(askBefore + text),
			}
			if strings.Contains(subject, "KiB") { // what is special there comes after the head
				delete(ways, "byte by byte")
				delete(ways, "line by line")
			}
			for way, s := range ways {
				t.Run(subject+"/"+tt.name+"/"+way, func(t *testing.T) {
					s.ends = tt.ends
					compare(t, one, other, s, does)
				})
			}
		}
	}
}

func allRequests() map[string][]heard {
	requests := bodies()
	maps.Copy(requests, lines)
	maps.Copy(requests, heads)
	return requests
}

// Where net/http sends chunks for a length that is none, or the length as it
// stands there, the lane says how long the body is.
func TestALengthThatIsNone(t *testing.T) {
	h := open(t, lane, nil)
	for _, a := range oddLengths {
		o := h.talk(t, atOnce(to("/")+askProbe), does(a.name, "write"))
		if len(o.Answers) != 2 || o.Answers[0].Body != "hello" || !slices.Contains(o.Answers[0].Head, "Content-Length: 5") {
			t.Errorf("after %q: %+v, want hello of length 5, and the probe", a.name, o.Answers)
		}
	}
}

// The same handler answers the same.
func TestAnAnswerIsThatOfNetHTTP(t *testing.T) {
	one, other := open(t, standard, nil), open(t, lane, nil)
	for subject, tests := range answers {
		for _, tt := range tests {
			for method, text := range map[string]string{
				"GET":      "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
				"HEAD":     "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n",
				"POST":     "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
				"GET last": "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
			} {
				t.Run(subject+"/"+strings.Join(tt, ", ")+"/"+method, func(t *testing.T) {
					compare(t, one, other, atOnce(text+askProbe), does(tt...))
					if subject != "trailer" { // one that stands in a header that was given goes with it
						compare(t, one, other, atOnce(text+askProbe), append(does("give a header"), does(tt...)...))
					}
					compare(t, one, other, speech{says: []string{text, text, askProbe}}, does(tt...))
				})
			}
		}
	}
}

// A comparison that cannot fail proves nothing.
func TestTheComparisonSeesWhatDiffers(t *testing.T) {
	one, other := open(t, standard, nil), open(t, standard, nil)
	for _, name := range []string{
		"read", "204", "404", "write", "flush", "103", "Connection: close", "Date: none", "panic",
	} {
		w, g := one.talk(t, atOnce(plainPost+askProbe), does("write 3 KiB")), other.talk(t, atOnce(plainPost+askProbe), does(name, "write 3 KiB"))
		if reflect.DeepEqual(allow(w), allow(g)) {
			t.Errorf("nothing is seen of %q", name)
		}
	}
}

var usual = does("read", "write")
