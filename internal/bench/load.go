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

// load sends requests over so many connections for so long, and returns how
// many were answered. Its own cost is not measured, but kept low: it takes
// from the same machine.
func load(url, token string, length time.Duration, clients int) (int, error) {
	request := "GET /v1/orders/42 HTTP/1.1\r\nHost: bench\r\nAccept: */*\r\nUser-Agent: bench\r\n"
	if token != "" {
		request += "Authorization: Bearer " + token + "\r\n"
	}
	request += "\r\n"
	var answered atomic.Int64
	var failed atomic.Pointer[error]
	var all sync.WaitGroup
	end := time.Now().Add(length)
	for range clients {
		all.Go(func() {
			n, err := client(strings.TrimPrefix(url, "http://"), []byte(request), end)
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
	return int(answered.Load()), nil
}

// client sends request again and again over one connection until end.
func client(address string, request []byte, end time.Time) (int, error) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	r := bufio.NewReaderSize(c, 4<<10)
	for n := 0; ; n++ {
		if time.Now().After(end) {
			return n, nil
		}
		if _, err := c.Write(request); err != nil {
			return n, err
		}
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return n, err
		}
		_, err = io.Copy(io.Discard, resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			return n, fmt.Errorf("status %d, %w", resp.StatusCode, err)
		}
	}
}
