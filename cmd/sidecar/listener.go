package main

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"sync/atomic"

	"sidecar/internal/downstream"
	"sidecar/internal/exchange"
)

// protocols returns what a port speaks. HTTP/2 is either negotiated in TLS or
// spoken without.
func protocols(names []string, secure bool) *http.Protocols {
	var p http.Protocols
	for _, name := range names {
		switch name {
		case exchange.HTTP1:
			p.SetHTTP1(true)
		case exchange.H2C:
			p.SetHTTP2(secure)
			p.SetUnencryptedHTTP2(!secure)
		}
	}
	return &p
}

// alpn returns the names of protocols in TLS (RFC 7301), the best first.
func alpn(p *http.Protocols) (names []string) {
	if p.HTTP2() {
		names = append(names, "h2")
	}
	if p.HTTP1() {
		names = append(names, "http/1.1")
	}
	return names
}

// listener is one port.
type listener struct {
	name           string
	address        string
	maxConnections int
	maxPerAddress  int  // 0: no bound but that
	tls            bool // its server's TLSConfig is also http.Server's own
	server         *http.Server
	direct         *downstream.Server // in front of server; nil: there is none
	socket         net.Listener
	closing        atomic.Bool
}

// secure has l speak TLS as now says at the time of each handshake: a new
// certificate disturbs no connection.
func (l *listener) secure(now func() *tls.Config) {
	l.tls = true
	names := alpn(l.server.Protocols)
	l.server.TLSConfig = &tls.Config{
		MinVersion: tls.VersionTLS12,
		// What it returns shares the keys of session tickets with this one, so
		// that sessions outlive a reload; crypto/tls looks at a client's
		// certificate again when it resumes one.
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			config := now().Clone()
			config.NextProtos = names
			return config, nil
		},
	}
}

func (l *listener) open() (err error) {
	l.socket, err = net.Listen("tcp", l.address)
	return err
}

func (l *listener) addr() string { return l.socket.Addr().String() }

// serve serves until it is closed; failed hears of any other end.
func (l *listener) serve(failed func(error)) {
	socket := limit(limitEach(l.socket, l.maxPerAddress), l.maxConnections)
	serve := l.server.Serve
	switch {
	case l.direct != nil:
		serve = l.direct.Serve
	case l.tls:
		serve = func(socket net.Listener) error { return l.server.ServeTLS(socket, "", "") }
	}
	err := serve(socket)
	if !errors.Is(err, http.ErrServerClosed) && !l.closing.Load() {
		failed(err)
	}
}

// stopAccepting closes the port; connections that there are go on.
func (l *listener) stopAccepting() {
	l.closing.Store(true)
	_ = l.socket.Close()
}

// shutdown waits for what is in flight until ctx ends.
func (l *listener) shutdown(ctx context.Context) error {
	if l.direct != nil {
		return l.direct.Shutdown(ctx)
	}
	return l.server.Shutdown(ctx)
}

func (l *listener) close() {
	if l.direct != nil {
		_ = l.direct.Close()
	}
	_ = l.server.Close()
	if l.socket != nil {
		_ = l.socket.Close() // also one that was never served
	}
}
