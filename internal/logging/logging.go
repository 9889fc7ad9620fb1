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
//	upstream_ms  ? of that, until upstream calls answered or failed, summed up: hedges too
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
//
// Once it is started, lines are written in the background, in the order in
// which they were said: those of requests at most 10 ms late, all others at
// once. Nobody waits for whoever reads them. While that reader takes nothing, up
// to 1 MiB of lines are kept, and what comes then is lost and counted; the line
// "log lines lost" tells how many.
package logging

import (
	"context"
	"io"
	"log"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

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
	lines    jsonLines
	out      *writer
}

// settings are a Config, read once.
type settings struct {
	level  slog.Level
	text   bool
	access string
	redact map[string]bool // by canonical name
}

// New returns a Log that writes to w as c says. Until Start, and after Close,
// lines are not buffered: when New's caller sees a line written, w has it.
func New(w io.Writer, c Config) *Log {
	l := &Log{out: newWriter(w)}
	l.Apply(c)
	l.handler = newHandler(l.out, &l.settings)
	l.logger = slog.New(l.handler)
	return l
}

// Start has lines written in the background from now on. It is called once;
// whoever calls it must call Close.
func (l *Log) Start() { l.out.start(l.lost) }

// Close writes the lines that are left, and gives up when ctx ends.
func (l *Log) Close(ctx context.Context) { l.out.close(ctx) }

// Dropped returns how many lines were lost so far.
func (l *Log) Dropped() uint64 { return l.out.dropped.Load() }

// lost says that n lines were lost. The error is that of the writer, which has
// no room for this one either.
func (l *Log) lost(n uint64) error {
	ctx := context.Background()
	if !l.handler.Enabled(ctx, slog.LevelWarn) {
		return nil
	}
	line := slog.NewRecord(time.Now(), slog.LevelWarn, "log lines lost", 0)
	line.AddAttrs(slog.Uint64("lines", n))
	return l.handler.Handle(ctx, line)
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
