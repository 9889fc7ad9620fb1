package main

import (
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"sidecar/internal/policy"
)

func protocols(names []string) *http.Protocols {
	var p http.Protocols
	for _, name := range names {
		switch name {
		case policy.HTTP1:
			p.SetHTTP1(true)
		case policy.H2C:
			p.SetUnencryptedHTTP2(true)
		}
	}
	return &p
}

// listener is one port.
type listener struct {
	name           string
	address        string
	maxConnections int
	server         *http.Server
	socket         net.Listener
	closing        atomic.Bool
}

func (l *listener) open() (err error) {
	l.socket, err = net.Listen("tcp", l.address)
	return err
}

func (l *listener) addr() string { return l.socket.Addr().String() }

// serve serves until it is closed; failed hears of any other end.
func (l *listener) serve(failed func(error)) {
	err := l.server.Serve(limit(l.socket, l.maxConnections))
	if !errors.Is(err, http.ErrServerClosed) && !l.closing.Load() {
		failed(err)
	}
}

// stopAccepting closes the port; connections that there are go on.
func (l *listener) stopAccepting() {
	l.closing.Store(true)
	_ = l.socket.Close()
}

func (l *listener) close() {
	_ = l.server.Close()
	if l.socket != nil {
		_ = l.socket.Close() // also one that was never served
	}
}

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

// CloseWrite says that we have said all; the peer may go on.
func (c *slotted) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.Close()
}
