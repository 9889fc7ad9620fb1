package downstream_test

import (
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sidecar/internal/downstream"
)

// ordinary are those of the requests in the tables that are served in the lane,
// after what is special in them; subjects that are not here are for net/http.
var ordinary = map[string][]string{
	"first line": {
		"ordinary", "HEAD", "OPTIONS", "DELETE", "TRACE", "method nobody knows", "method in small letters", "method of odd tokens", "CONNECT with a path",
		"a whole one, and no more",
	},
	"target": {
		"two slashes", "three slashes", "slashes within", "dots", "a star after the slash", "empty query", "two queries", "fragment",
		"fragment of nothing", "escaped slash", "escapes without need", "what could be escaped", "semicolon and more", "above ASCII",
		"above ASCII in the query", "colon in the path", "long",
	},
	"host": {"spaces", "no space", "a port", "a bad port", "IPv6", "in other letters", "last"},
	"field": {
		"many names of one", "empty value", "spaces around", "8 bits", "UTF-8", "all signs in the name", "long name", "long value",
		"just a buffer", "many", "cookies", "usual ones", "priority and more", "pragma", "pragma and cache-control",
	},
	"hop by hop": {"close", "Close", "keep-alive", "Keep-Alive", "proxy-connection"},
	"length": {
		"of a body", "of nothing", "none", "of a GET", "of a HEAD", "zero before", "spaces around", "huge", "20 zeros",
	},
	"pipelined": {
		"two", "twenty", "a body, and a GET", "a body, and a GET, not read", "a body, and a GET, read partly", "bodies",
		"no length, and what looks like a request", "a body that looks like a request", "the last, and one more", "a panic", "a bad length",
	},
}

// What is ordinary stays in the lane, and nothing else does: nothing is won by
// handing everything over.
func TestOnlyTheOrdinaryStaysInTheLane(t *testing.T) {
	h := open(t, lane, nil)
	for subject, tests := range allRequests() {
		for _, tt := range tests {
			if tt.text == "" {
				continue
			}
			does := tt.does
			if does == nil {
				does = usual
			}
			served := h.server.(*downstream.Server).Served
			here, given := served()
			s := atOnce(tt.text)
			s.ends = true
			h.talk(t, s, does)
			hereNow, givenNow := served()
			stays := slices.Contains(ordinary[subject], tt.name) || strings.Contains(subject, "body")
			if stays && (givenNow > given || hereNow == here) || !stays && givenNow == given {
				t.Errorf("%s, %s: %d requests served, %d connections given away, and it is ordinary: %v",
					subject, tt.name, hereNow-here, givenNow-given, stays)
			}
		}
	}
}

// A client may not keep a connection by sending its head slowly.
func TestAHeadHasItsTimeAsAWhole(t *testing.T) {
	eachServer(t, func(t *testing.T, by maker) {
		for name, before := range map[string]string{"the first": "", "the second": to("/")} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
					s := by(&http.Server{Handler: http.HandlerFunc(hello), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute})
					done := make(chan struct{})
					go func() { defer close(done); _ = s.Serve(p) }()
					defer func() { _ = s.Close(); <-done }()
					c := p.dial()
					if before != "" {
						c.send(before)
						c.answer(t)
					}
					go func() { _, _ = io.Copy(io.Discard, c.in) }() // net/http may say what it thinks of it
					began := time.Now()
					for _, b := range []byte(plainGet + "X-A: b") {
						if _, err := c.Write([]byte{b}); err != nil {
							break
						}
						time.Sleep(time.Second)
					}
					if took := time.Since(began); took > 10*time.Second { // net/http counts from the fourth byte of a second head
						t.Errorf("it took %v to close, want about 5s", took)
					}
					c.Close()
				})
			})
		}
	})
}
