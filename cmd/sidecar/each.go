package main

import (
	"net"
	"net/netip"
	"sync"
)

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
		from := clientOf(c.RemoteAddr())
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

// clientOf returns whom a connection counts for: its address, of IPv6 the /64,
// since one host has all of those.
func clientOf(a net.Addr) netip.Prefix {
	at, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	ip := at.AddrPort().Addr().Unmap().WithZone("")
	bits := ip.BitLen()
	if ip.Is6() {
		bits = 64
	}
	prefix, _ := ip.Prefix(bits)
	return prefix
}
