// Package downstream serves clients that speak HTTP/1.1. It takes ordinary
// requests itself, on the goroutine of their connection, and leaves a
// connection that says anything else to net/http's server, with all that was
// read of it: that stays the authority for whatever is odd
// (docs/decisions/0031).
package downstream

import (
	"cmp"
	"context"
	"errors"
	"log"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// How requests are read: by this package, or by net/http alone.
const (
	Direct   = "direct"
	Standard = "standard"
)

// Server is a lane in front of an http.Server. Its methods do what those of
// http.Server do, and may be called at any time, by anybody.
type Server struct {
	standard *http.Server
	base     context.Context
	rest     *rest
	stopping atomic.Bool

	mostHead int // in bytes

	served, handedOver atomic.Int64 // requests; connections

	mu       sync.Mutex // guards listener and conns
	listener net.Listener
	conns    map[*conn]struct{}
}

// Transparent is what a net.Conn may be that only stands for a TCP connection:
// what is written to it is written there as it is. TCP returns nil if there is
// none.
type Transparent interface{ TCP() *net.TCPConn }

// New returns a lane in front of s. It serves with the Handler, BaseContext,
// ErrorLog, IdleTimeout, ReadHeaderTimeout and MaxHeaderBytes that s has by the
// time of Serve. A handler here is always full duplex (see
// http.ResponseController.EnableFullDuplex), may not hijack, and has its
// Transfer-Encoding ignored: the server decides how a body is framed. Other
// settings of s, like hooks and bounds for whole requests, hold only for what
// is left to it: s must not have any.
func New(s *http.Server) *Server {
	return &Server{standard: s, conns: map[*conn]struct{}{}, rest: newRest()}
}

// Serve serves what l accepts, connections that are not encrypted, and closes it
// at the end. It returns why nothing more is accepted, http.ErrServerClosed after
// Shutdown or Close; what was accepted goes on until one of them is called. It
// may be called once.
func (s *Server) Serve(l net.Listener) error {
	defer l.Close()
	if !s.begin(l) {
		return http.ErrServerClosed
	}
	go func() { _ = s.standard.Serve(s.rest) }() // ends when it is shut down or closed
	err := s.accept(l)
	if s.stopping.Load() {
		return http.ErrServerClosed
	}
	return err
}

func (s *Server) begin(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listener, s.rest.address, s.base = l, l.Addr(), context.Background()
	s.mostHead = headSize
	if n := s.standard.MaxHeaderBytes; n > 0 {
		s.mostHead = min(n, headSize)
	}
	if s.standard.BaseContext != nil {
		s.base = s.standard.BaseContext(l)
	}
	return !s.stopping.Load()
}

// stop has nothing more accepted.
func (s *Server) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopping.Store(true)
	if s.listener != nil {
		_ = s.listener.Close()
	}
}

// accept serves each connection of l, and returns why there are no more.
func (s *Server) accept(l net.Listener) error {
	const most = time.Second
	var pause time.Duration
	for {
		nc, err := l.Accept()
		switch {
		case err == nil:
			pause = 0
			s.open(nc)
		case isTemporary(err):
			pause = min(max(2*pause, 5*time.Millisecond), most)
			s.logf("http: Accept error: %v; retrying in %v", err, pause)
			time.Sleep(pause)
		default:
			return err
		}
	}
}

// isTemporary reports whether an error of Accept passes: there are too many open
// files.
func isTemporary(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

func (s *Server) open(nc net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping.Load() {
		_ = nc.Close()
		return
	}
	c := &conn{s: s, nc: nc, vectored: nc, remote: nc.RemoteAddr().String()}
	if t, ok := nc.(Transparent); ok && t.TCP() != nil {
		c.vectored = t.TCP()
	}
	s.conns[c] = struct{}{}
	go c.serve()
}

func (s *Server) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// Shutdown closes the connections that carry no request, shuts the http.Server
// down, and waits for what is in flight in both. When ctx ends it returns the
// error of ctx, and leaves that alone. Nothing more is accepted.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stop()
	rest := make(chan error, 1)
	go func() { rest <- s.standard.Shutdown(ctx) }()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for s.closeIdle() > 0 {
		select {
		case <-ctx.Done():
			return cmp.Or(<-rest, ctx.Err())
		case <-tick.C:
		}
	}
	return <-rest
}

// closeIdle closes what carries no request, and returns how many connections
// there still are.
func (s *Server) closeIdle() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.closeIfIdle()
	}
	return len(s.conns)
}

// Close closes every connection at once.
func (s *Server) Close() error {
	s.stop()
	s.mu.Lock()
	for c := range s.conns {
		_ = c.nc.Close()
	}
	s.mu.Unlock()
	return s.standard.Close()
}

func (s *Server) logf(format string, args ...any) {
	if l := s.standard.ErrorLog; l != nil {
		l.Printf(format, args...)
		return
	}
	log.Printf(format, args...)
}
