package upstream

import (
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// closing is a connection that tells of its end.
type closing struct {
	net.Conn
	name   string
	closed chan<- string
}

func (c *closing) Close() error {
	c.closed <- c.name
	return nil
}

func TestAPoolKeepsWhatWasUsedLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		closed := make(chan string, 10)
		p := &pool{max: 2, timeout: 4 * time.Second}
		put := func(name string) { p.put(newWire(&closing{name: name, closed: closed}, p)) }
		wantClosed := func(names ...string) {
			t.Helper()
			synctest.Wait()
			var got []string
			for len(closed) > 0 {
				got = append(got, <-closed)
			}
			if !slices.Equal(got, names) {
				t.Fatalf("closed %q, want %q", got, names)
			}
		}
		put("a")
		time.Sleep(time.Second)
		put("b")
		put("c") // one too many
		wantClosed("c")
		b := p.get()
		if name := b.Conn.(*closing).name; name != "b" {
			t.Errorf("get returns %s, want b", name)
		}
		p.put(b)
		time.Sleep(3*time.Second - time.Nanosecond)
		wantClosed()
		time.Sleep(time.Nanosecond)
		wantClosed("a") // b was used later
		time.Sleep(time.Second)
		wantClosed("b")
		if p.get() != nil {
			t.Error("get returns a connection that was closed")
		}
		put("d") // the timer runs again
		time.Sleep(4 * time.Second)
		wantClosed("d")
		put("e")
		p.closeIdle()
		wantClosed("e")
	})
}
