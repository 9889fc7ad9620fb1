package downstream_test

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// All that may differ from net/http stands here, in understand, and where a turn
// tells what a handler did:
//   - the sizes of chunks, the order of fields with different names, the time
//   - whether a connection ends with a FIN or a RST: with net/http that depends on
//     what has come when it closes
//   - what a Read says after one that has failed
//   - whether one to three bytes of a second request, and no more, get a 400 or no
//     answer
//   - in which words the log tells of a superfluous WriteHeader: the lane says what
//     it was, net/http who it was
//   - what becomes of a Content-Length that is none: TestALengthThatIsNone

// stumble is what net/http's server logs when it is full duplex and a handler
// leaves a body: it cannot go on. The lane can, where it has not handed the
// connection over, and is not compared.
const stumble = "http: panic serving CLIENT: invalid concurrent Body.Read call"

// allow takes away what may differ.
func allow(o outcome) outcome {
	for i := range o.Seen {
		slices.Sort(o.Seen[i].Strange) // comes from a map
	}
	for i, line := range o.Logged {
		if superfluous := "http: superfluous response.WriteHeader call"; strings.HasPrefix(line, superfluous) {
			o.Logged[i] = superfluous
		}
	}
	for i := range o.Answers {
		a := &o.Answers[i]
		if i < len(o.Seen) && o.Seen[i].Left && !o.Seen[i].Close {
			// The lane is full duplex: when it writes a head it does not know yet
			// that the connection will have to end for what is left of a body.
			a.Head = slices.DeleteFunc(a.Head, func(line string) bool { return strings.HasPrefix(line, "Connection: ") })
		}
	}
	return o
}

// inOrder returns the lines of a head, ordered by their names: the order of
// fields with different names is free. The time of the answer is masked.
func inOrder(head string) []string {
	lines := strings.Split(head, "\r\n")
	slices.SortStableFunc(lines[1:], func(a, b string) int {
		a, _, _ = strings.Cut(a, ":")
		b, _, _ = strings.Cut(b, ":")
		return strings.Compare(a, b)
	})
	for i, line := range lines {
		if value, ok := strings.CutPrefix(line, "Date: "); ok {
			if at, err := http.ParseTime(value); err == nil && time.Since(at).Abs() < time.Hour {
				lines[i] = "Date: now"
			}
		}
	}
	return lines
}
