package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// clientCount is over how many connections requests are sent.
const clientCount = 64

// load is one kind of request.
type load struct {
	name, method, path, body string
}

var (
	getSmall = load{name: "GET 1 KiB", method: "GET", path: "/v1/orders/42"}
	getLarge = load{name: "GET 64 KiB", method: "GET", path: largePath}
	post     = load{name: "POST 4 KiB", method: "POST", path: "/v1/orders/42", body: `{"note":"` + strings.Repeat("n", 4<<10-11) + `"}`}
)

// message returns l as it goes over the wire.
func (l load) message(token string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: bench\r\nAccept: */*\r\nUser-Agent: bench\r\nAuthorization: Bearer %s\r\n", l.method, l.path, token)
	if l.body != "" {
		fmt.Fprintf(&b, "Content-Type: application/json\r\nContent-Length: %d\r\n", len(l.body))
	}
	return []byte(b.String() + "\r\n" + l.body)
}

// until returns what gives message again and again, for length from the first.
func until(length time.Duration, message []byte) func() []byte {
	end := sync.OnceValue(func() time.Time { return time.Now().Add(length) })
	return func() []byte {
		if time.Now().After(end()) {
			return nil
		}
		return message
	}
}

// times returns what gives message n times.
func times(n int, message []byte) func() []byte {
	var given atomic.Int64
	return func() []byte {
		if given.Add(1) > int64(n) {
			return nil
		}
		return message
	}
}

// clients are connections to one proxy. Their own cost is not measured, but
// kept low: they take from the same machine.
type clients []client

type client struct {
	net.Conn
	answers *bufio.Reader
}

// dial opens n connections to url, each of which has had an answer to first:
// what it costs to accept them is no request's.
func dial(url string, n int, first []byte) (clients, error) {
	var cs clients
	for range n {
		c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			cs.close()
			return nil, err
		}
		cs = append(cs, client{c, bufio.NewReaderSize(c, 16<<10)})
		if _, err := cs[len(cs)-1].send(once(first)); err != nil {
			cs.close()
			return nil, err
		}
	}
	return cs, nil
}

func once(message []byte) func() []byte {
	return func() []byte {
		m := message
		message = nil
		return m
	}
}

func (cs clients) close() {
	for _, c := range cs {
		_ = c.Close()
	}
}

// send has each client send what next returns, one after the other, until that
// is nothing. It returns how many were answered.
func (cs clients) send(next func() []byte) (int, error) {
	var answered atomic.Int64
	var failed atomic.Pointer[error]
	var all sync.WaitGroup
	for _, c := range cs {
		all.Go(func() {
			n, err := c.send(next)
			answered.Add(int64(n))
			if err != nil {
				failed.CompareAndSwap(nil, &err)
			}
		})
	}
	all.Wait()
	if err := failed.Load(); err != nil {
		return 0, *err
	}
	if answered.Load() == 0 {
		return 0, fmt.Errorf("no request was sent")
	}
	return int(answered.Load()), nil
}

func (c client) send(next func() []byte) (answered int, err error) {
	for request := next(); request != nil; request = next() {
		if _, err := c.Write(request); err != nil {
			return answered, err
		}
		resp, err := http.ReadResponse(c.answers, nil)
		if err != nil {
			return answered, err
		}
		_, err = io.Copy(io.Discard, resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			return answered, fmt.Errorf("status %d, %w", resp.StatusCode, err)
		}
		answered++
	}
	return answered, nil
}
