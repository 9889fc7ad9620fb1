package upstream

import (
	"cmp"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"time"

	"sidecar/internal/exchange"
)

const (
	// bufferSize holds most heads, and moves bodies in fewer system calls than
	// net/http's own 4 KiB.
	bufferSize = 16 << 10

	// maxResponseHeader bounds what an upstream can make us hold for one head.
	maxResponseHeader = 64 << 10

	// expectContinueTimeout is how long a body waits for the upstream's 100.
	expectContinueTimeout = time.Second

	// An HTTP/2 connection carries many calls, so a dead one is looked for:
	// after pingAfter of silence, and given up pingTimeout later.
	pingAfter   = 10 * time.Second
	pingTimeout = 5 * time.Second
)

// transports are an upstream's connection pools: one, unless its endpoints
// need more. Each is made when the first endpoint asks for it.
type transports struct {
	config Config
	tls    *tls.Config // nil: the system's roots
	to     string      // the one host:port that is dialled, wherever the URL leads; empty: that

	// dialTCP replaces net.Dialer in tests; nil: it does not.
	dialTCP func(ctx context.Context, network, addr string) (net.Conn, error)

	plain      *http.Transport // http:// endpoints, HTTP/1 or h2c
	secure     *http.Transport // https:// endpoints, as negotiated
	secureHTTP *http.Transport // upgrades to https:// endpoints, HTTP/1 only
}

// forScheme returns what carries a request to an endpoint of that scheme, and
// what carries one that asks for an upgrade.
func (ts *transports) forScheme(scheme string) (transport, upgrade *http.Transport) {
	if scheme == "https" {
		if ts.secure == nil {
			ts.secure = ts.newTLS("h2", "http/1.1")
			// HTTP/2 has no Upgrade header, and net/http itself knows only
			// websocket as a reason to do without it.
			ts.secureHTTP = ts.newTLS("http/1.1")
		}
		return ts.secure, ts.secureHTTP
	}
	if ts.plain == nil {
		ts.plain = ts.newPlain()
	}
	if ts.config.Protocol == exchange.H2C {
		return ts.plain, nil
	}
	return ts.plain, ts.plain
}

// closeIdle closes the connections that no call uses.
func (ts *transports) closeIdle() {
	for _, t := range []*http.Transport{ts.plain, ts.secure, ts.secureHTTP} {
		if t != nil {
			t.CloseIdleConnections()
		}
	}
}

// newTransport returns a pool without dialers. Proxy stays nil: what the
// environment says of proxies is not meant for the service next door.
func (ts *transports) newTransport(protocols ...func(*http.Protocols, bool)) *http.Transport {
	pool := ts.config.Pool
	t := &http.Transport{
		DisableCompression:     true,
		DisableKeepAlives:      pool.MaxIdle == 0, // 0 would mean 2 to net/http
		MaxIdleConnsPerHost:    pool.MaxIdle,
		IdleConnTimeout:        pool.IdleTimeout,
		ResponseHeaderTimeout:  ts.config.ResponseHeaderTimeout,
		ExpectContinueTimeout:  expectContinueTimeout,
		MaxResponseHeaderBytes: maxResponseHeader,
		ReadBufferSize:         bufferSize,
		WriteBufferSize:        bufferSize,
		Protocols:              new(http.Protocols),
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
	}
	for _, enable := range protocols {
		enable(t.Protocols, true)
	}
	return t
}

func (ts *transports) newPlain() *http.Transport {
	if ts.config.Protocol == exchange.H2C {
		// HTTP/1 beside it would be preferred for http:// URLs.
		t := ts.newTransport((*http.Protocols).SetUnencryptedHTTP2)
		t.DialContext = ts.dial
		return t
	}
	t := ts.newTransport((*http.Protocols).SetHTTP1)
	t.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := ts.dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &conn{Conn: nc}, nil
	}
	return t
}

// newTLS returns a pool of connections that speak one of alpn.
func (ts *transports) newTLS(alpn ...string) *http.Transport {
	protocols := []func(*http.Protocols, bool){(*http.Protocols).SetHTTP1}
	if alpn[0] == "h2" {
		protocols = append(protocols, (*http.Protocols).SetHTTP2)
	}
	config := &tls.Config{}
	if ts.tls != nil {
		config = ts.tls.Clone()
	}
	config.MinVersion = tls.VersionTLS12
	config.NextProtos = alpn
	t := ts.newTransport(protocols...)
	t.DialTLSContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		return ts.dialTLS(ctx, network, addr, config)
	}
	return t
}

// dial connects within the connect timeout.
func (ts *transports) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if ts.dialTCP != nil {
		return ts.dialTCP(ctx, network, cmp.Or(ts.to, addr))
	}
	d := net.Dialer{Timeout: ts.config.Pool.ConnectTimeout}
	return d.DialContext(ctx, network, cmp.Or(ts.to, addr))
}

// dialTLS connects and shakes hands. net/http would do it as well, but would
// hide the bytes that conn has to see.
func (ts *transports) dialTLS(ctx context.Context, network, addr string, base *tls.Config) (net.Conn, error) {
	start := time.Now()
	nc, err := ts.dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	left := ts.config.Pool.TLSTimeout
	if left == 0 {
		left = ts.config.Pool.ConnectTimeout - time.Since(start)
	}
	tc, err := shakeHands(ctx, nc, addr, base, left)
	if err != nil {
		nc.Close()
		return nil, err
	}
	if tc.ConnectionState().NegotiatedProtocol == "h2" {
		return tc, nil
	}
	return &conn{Conn: tc}, nil
}

// shakeHands begins TLS with the server at addr, within d.
func shakeHands(ctx context.Context, nc net.Conn, addr string, base *tls.Config, d time.Duration) (*tls.Conn, error) {
	config := base
	if config.ServerName == "" {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			host = addr
		}
		config = base.Clone()
		config.ServerName = host
	}
	ctx, cancel := context.WithTimeoutCause(ctx, d, errTLSTimeout)
	defer cancel()
	tc := tls.Client(nc, config)
	if err := tc.HandshakeContext(ctx); err != nil {
		if context.Cause(ctx) == error(errTLSTimeout) {
			err = errTLSTimeout
		}
		return nil, err
	}
	return tc, nil
}
