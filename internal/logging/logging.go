// Package logging writes what happens, one line each: a request when it has
// ended, an event, and whatever else the process has to say.
//
// It is an observer: it reads the record of each exchange and decides
// nothing. A line is one JSON object, or key=value text; whatever a client
// sends, it stays one line.
//
// The line of a request is called "request" and has these fields, in this
// order; those marked ? are there only when there is something to say:
//
//	time         when the last byte had gone
//	level        INFO; ERROR when the proxy itself failed
//	msg          request
//	request_id
//	trace_id     ? of the trace that the request is part of
//	method
//	path         decoded; never the query, which may hold secrets
//	host
//	proto        HTTP/1.1, HTTP/2.0
//	route        none when no route matched
//	upstream     ?
//	status       told to the client; 499 when it left
//	reason       ? why it did not end as the upstream meant it to
//	bytes_in
//	bytes_out
//	duration_ms  to the microsecond
//	upstream_ms  ? of that, until upstream calls answered or failed
//	attempts     upstream calls; 0 when a policy answered
//	client       ? its address, as far as trusted proxies tell
//	principal    ? the subject that authn found proven
//	credential   ? how: token, apiKey, clientCertificate
//	decisions    ? what policies said beyond a plain pass: a list of
//	             kind, policy, outcome, reason, rule, detail, line
//	headers      ? at level debug: the request's header, secrets as ***
//
// The line of an event is called by its kind ("circuit breaker", "fault",
// "jwks", "admin") and has ? name, from, to, detail, who and line. It is INFO,
// or WARN for one that is worth waking somebody: a breaker, not in shadow, that
// opens, keys that cannot be fetched, a credential that admin refuses.
//
// No token, cookie, query or body is written. At level debug header fields
// are, except those that the policy redacts.
package logging

import (
	"io"
	"log"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"sidecar/internal/exchange"
)

var (
	_ exchange.Observer      = (*Log)(nil)
	_ exchange.EventObserver = (*Log)(nil)
)

// Log is the one log of the process. It is safe for concurrent use.
type Log struct {
	exchange.NoAttempts // the line of a request says how many there were

	settings atomic.Pointer[settings]
	handler  *handler
	logger   *slog.Logger
}

// settings are a Config, read once.
type settings struct {
	level  slog.Level
	text   bool
	access string
	redact map[string]bool // by canonical name
}

// New returns a Log that writes to w as c says. Lines are not buffered: when
// New's caller sees a line written, w has it.
func New(w io.Writer, c Config) *Log {
	l := &Log{}
	l.Apply(c)
	l.handler = newHandler(&lockedWriter{w: w}, &l.settings)
	l.logger = slog.New(l.handler)
	return l
}

// Apply makes c hold for every line from now on, also of loggers that were
// given out before.
func (l *Log) Apply(c Config) {
	s := &settings{
		text:   c.Format == "text",
		access: c.Access,
		redact: map[string]bool{"Authorization": true, "Proxy-Authorization": true},
	}
	// The level is one of slog's own words: Validate has seen to it. What it
	// has not seen is info.
	_ = s.level.UnmarshalText([]byte(c.Level))
	for _, name := range c.Redact {
		s.redact[http.CanonicalHeaderKey(name)] = true
	}
	l.settings.Store(s)
}

// Logger returns a logger for everything that is no request and no event.
func (l *Log) Logger() *slog.Logger { return l.logger }

// ErrorLog returns a logger for http.Server and httputil.ReverseProxy. It
// writes at level warn, but what they say of clients that leave or speak
// badly, which is no news and which anybody can cause, at level debug.
func (l *Log) ErrorLog() *log.Logger {
	return slog.NewLogLogger(noiseFilter{l.handler}, slog.LevelWarn)
}

// lockedWriter keeps the lines of the two formats apart; each has a lock of
// its own, and they share w.
type lockedWriter struct {
	mu sync.Mutex // guards w
	w  io.Writer
}

func (w *lockedWriter) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.w.Write(line)
}

// noise reports whether message, from net/http or httputil, is about a client
// that left or spoke badly, or about a body that broke: the record of its
// exchange says so, and who was to blame.
func noise(message string) bool {
	for _, prefix := range []string{
		"http: TLS handshake error",
		"http: URL query contains semicolon",
		"http2: server connection error from",
		"http2: server closing client connection",
		"http2: server: error reading preface from client",
		"http2: received GOAWAY",
		"timeout waiting for SETTINGS frames from",
		"suppressing panic",
		"httputil: ReverseProxy read error during body copy",
	} {
		if strings.HasPrefix(message, prefix) {
			return true
		}
	}
	return false
}
