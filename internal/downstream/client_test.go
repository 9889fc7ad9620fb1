package downstream_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// speech is what a client says on one connection.
type speech struct {
	says []string // each once the one before is answered
	cuts []int    // lengths of pieces, from the beginning: one is sent when the one before has been read
	ends bool     // the client says that it has said all
}

// atOnce is all of it in one piece.
func atOnce(text string) speech { return speech{says: []string{text}} }

// byteByByte is text in pieces of one byte, as far as a short head goes.
func byteByByte(text string) speech {
	s := atOnce(text)
	for range min(len(text), 40) {
		s.cuts = append(s.cuts, 1)
	}
	return s
}

// lineByLine is text in lines, and each line's end by itself.
func lineByLine(text string) speech {
	s := atOnce(text)
	for line := range strings.SplitAfterSeq(text, "\r\n") {
		if s.cuts = append(s.cuts, len(line)-1, 1); len(s.cuts) > 40 {
			break
		}
	}
	return s
}

// speaker is a client at its connection.
type speaker struct {
	net.Conn
	heard bytes.Buffer  // all that came
	in    *bufio.Reader // what came, for who reads answers one by one
	cuts  []int
	ours  func() net.Conn // the server's end of the connection; nil while it is not accepted
}

func (h *house) enter(t testing.TB, does program) (*speaker, *visit) {
	t.Helper()
	nc, err := net.Dial("tcp", h.address)
	if err != nil {
		t.Fatal(err)
	}
	me := nc.LocalAddr().String()
	_ = nc.SetDeadline(time.Now().Add(patience))
	v := &visit{house: h, does: does}
	h.visits.Store(me, v)
	c := &speaker{Conn: nc, ours: func() net.Conn {
		c, _ := h.sockets.Load(me)
		nc, _ := c.(net.Conn)
		return nc
	}}
	c.in = bufio.NewReader(io.TeeReader(nc, &c.heard))
	return c, v
}

// leave forgets c, whose connection has ended.
func (h *house) leave(c *speaker) {
	_ = c.Conn.(*net.TCPConn).SetLinger(0) // a fuzzer would have no ports left
	_ = c.Close()
	h.visits.Delete(c.LocalAddr().String())
	h.sockets.Delete(c.LocalAddr().String())
}

// talk has a client say s, while the handler does as it is told, and returns
// what came of it once the server has closed the connection.
func (h *house) talk(t testing.TB, s speech, does program) outcome {
	t.Helper()
	c, v := h.enter(t, does)
	c.cuts = s.cuts
	for i, text := range s.says {
		last := i == len(s.says)-1
		ends := last && s.ends
		said := make(chan struct{})
		go func() {
			defer close(said)
			c.say(text)
			if ends {
				c.end()
			}
		}()
		if !last {
			if c.hear(text) {
				<-said
				continue
			}
			c.end()
		}
		_, err := io.Copy(io.Discard, c.in)
		_ = c.SetWriteDeadline(time.Unix(1, 0)) // nobody reads it any more
		<-said
		o := outcome{Hangs: errors.Is(err, os.ErrDeadlineExceeded)}
		if o.Hangs {
			_ = c.Close()
		}
		o.Seen = v.leave()
		h.leave(c)
		o.Logged = h.log.take(v.panics, c.LocalAddr().String())
		o.understand(c.heard.String())
		return o
	}
	panic("nothing is said")
}

// end says that c has said all.
func (c *speaker) end() { _ = c.Conn.(*net.TCPConn).CloseWrite() }

// say sends text in pieces. An error is no news: the server does not want to
// hear more.
func (c *speaker) say(text string) {
	for text != "" {
		n := len(text)
		if len(c.cuts) > 0 {
			n, c.cuts = min(c.cuts[0], n), c.cuts[1:]
		}
		if _, err := io.WriteString(c, text[:n]); err != nil {
			return
		}
		if text = text[n:]; len(c.cuts) > 0 && !c.taken() {
			c.cuts = nil // it does something else
		}
	}
}

// taken waits for the server to have read all that was sent, and reports
// whether it has.
func (c *speaker) taken() bool {
	for range 10_000 {
		if ours := c.ours(); ours != nil && nothingToRead(ours) {
			return true
		}
		runtime.Gosched()
	}
	return false
}

// hear reads the answer to text, and reports whether there was a whole one.
func (c *speaker) hear(text string) bool {
	method, _, _ := strings.Cut(text, " ")
	for {
		resp, err := http.ReadResponse(c.in, &http.Request{Method: method})
		if err != nil {
			return false
		}
		if resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols {
			_, err = io.Copy(io.Discard, resp.Body)
			return err == nil && !resp.Close
		}
	}
}
