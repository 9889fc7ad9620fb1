//go:build unix

package upstream

import (
	"bufio"
	"io"
	"net"
	"syscall"
	"testing"
)

// later writes text behind an answer that was whole, or ends the connection.
func later(text string, wrote chan<- struct{}) script {
	return func(c *net.TCPConn, in *bufio.Reader) {
		for range 2 {
			if _, err := readRequest(in); err != nil {
				return
			}
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst")
			if text == "" {
				c.Close()
			}
			io.WriteString(c, text)
			wrote <- struct{}{}
		}
	}
}

func TestAnIdleConnectionIsLookedAtBeforeItIsUsed(t *testing.T) {
	for name, text := range map[string]string{
		"it was closed":                 "",
		"it says what nobody asked for": "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
	} {
		t.Run(name, func(t *testing.T) {
			wrote := make(chan struct{}, 2)
			u := to(t, nil, raw(t, later(text, wrote)))
			for range 2 {
				s := request("POST", "/", "hello") // is not replayed
				if _, got := get(t, u, s); got != "first" || s.attempt.Replays != 0 {
					t.Errorf("body = %q, %d replays, want its own answer over a new connection", got, s.attempt.Replays)
				}
				<-wrote
				arrives(t, u)
			}
		})
	}
}

// arrives waits until the idle connection of u has something to read.
func arrives(t *testing.T, u *Upstream) {
	t.Helper()
	p := &u.endpoints[0].direct.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) != 1 {
		return // it came with the answer
	}
	if err := p.idle[0].raw.Read(func(fd uintptr) bool {
		_, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK)
		return err != syscall.EAGAIN
	}); err != nil {
		t.Fatal(err)
	}
}
