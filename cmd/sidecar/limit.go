package main

import (
	"net"
	"net/netip"
	"sync"

	"sidecar/internal/exchange"
)

// limit returns a listener that has at most n connections open: the next ones
// wait to be accepted. netutil.LimitListener would hide that a connection can
// be closed one side at a time, which upgraded ones are.
func limit(l net.Listener, n int) net.Listener {
	return &limited{Listener: l, slots: make(chan struct{}, n), closed: make(chan struct{})}
}

type limited struct {
	net.Listener
	slots  chan struct{}
	once   sync.Once
	closed chan struct{}
}

// Accept waits for a free slot, and then for a connection.
func (l *limited) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &slotted{Conn: c, release: func() { <-l.slots }}, nil
}

// Close also ends an Accept that waits for a slot.
func (l *limited) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// limitEach returns a listener of which each client has at most n connections
// open; 0 is no bound. The next ones are closed at once: to let them wait would
// hold up everybody behind them.
func limitEach(l net.Listener, n int) net.Listener {
	if n == 0 {
		return l
	}
	return &limitedEach{Listener: l, most: n, open: map[netip.Prefix]int{}}
}

type limitedEach struct {
	net.Listener
	most int

	mu   sync.Mutex // guards open
	open map[netip.Prefix]int
}

// Accept waits for a connection of somebody who has not too many.
func (l *limitedEach) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from := clientOf(c)
		if l.enter(from) {
			return &slotted{Conn: c, release: func() { l.leave(from) }}, nil
		}
		_ = c.Close()
	}
}

func (l *limitedEach) enter(from netip.Prefix) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[from] >= l.most {
		return false
	}
	l.open[from]++
	return true
}

func (l *limitedEach) leave(from netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[from]--; l.open[from] == 0 {
		delete(l.open, from)
	}
}

// clientOf returns whom a connection counts for.
func clientOf(c net.Conn) netip.Prefix {
	at, ok := c.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	return exchange.NetworkOf(at.AddrPort().Addr())
}

// slotted is a connection that gives its slot back.
type slotted struct {
	net.Conn
	once    sync.Once
	release func()
}

func (c *slotted) Close() error {
	defer c.once.Do(c.release)
	return c.Conn.Close()
}

// TCP returns the connection that c stands for.
func (c *slotted) TCP() *net.TCPConn {
	if inner, ok := c.Conn.(*slotted); ok {
		return inner.TCP()
	}
	tcp, _ := c.Conn.(*net.TCPConn)
	return tcp
}

// CloseWrite says that we have said all; the peer may go on.
func (c *slotted) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.Close()
}
