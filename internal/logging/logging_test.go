package logging

import (
	"bytes"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sidecar/internal/exchange"
)

func TestApplyReachesLoggersGivenOutBefore(t *testing.T) {
	var out bytes.Buffer
	log := New(&out, defaults())
	logger := log.Logger().With("room", "upstream").WithGroup("pool").With("size", 4)
	said := func() string {
		defer out.Reset()
		logger.Debug("dial")
		_, after, _ := strings.Cut(out.String(), "DEBUG")
		return after
	}

	if got := said(); got != "" {
		t.Errorf("at info, a debug line = %q, want none", got)
	}
	c := defaults()
	c.Level = "debug"
	log.Apply(c)
	if got, want := said(), `","msg":"dial","room":"upstream","pool":{"size":4}}`+"\n"; got != want {
		t.Errorf("at debug = %q, want %q", got, want)
	}
	c.Format = "text"
	log.Apply(c)
	if got, want := said(), " msg=dial room=upstream pool.size=4\n"; got != want {
		t.Errorf("as text = %q, want %q", got, want)
	}
	log.Apply(defaults())
	if got := said(); got != "" {
		t.Errorf("at info again, a debug line = %q, want none", got)
	}
}

func TestApplyReachesTheAccessLine(t *testing.T) {
	var out bytes.Buffer
	c := defaults()
	c.Access = "none"
	log := New(&out, c)
	log.End(t.Context(), record())
	if out.Len() != 0 {
		t.Errorf("with access none, line = %q, want none", &out)
	}
	log.Apply(defaults())
	log.End(t.Context(), record())
	if out.Len() == 0 {
		t.Error("with access all, no line, want one")
	}
}

func TestEvent(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	const head = `{"time":"2026-03-01T12:00:00Z","level":`
	tests := []struct {
		name  string
		level string
		event exchange.Event
		want  string
	}{
		{
			"a breaker that opens is a warning", "info",
			exchange.Event{Kind: exchange.CircuitBreaker, Name: "standard@orders", From: "closed", To: "open", Detail: "20 of 20 failed", Bad: true},
			head + `"WARN","msg":"circuit breaker","name":"standard@orders","from":"closed","to":"open","detail":"20 of 20 failed"}`,
		},
		{
			"a breaker that probes is not", "info",
			exchange.Event{Kind: exchange.CircuitBreaker, Name: "standard@orders", From: "open", To: "half-open"},
			head + `"INFO","msg":"circuit breaker","name":"standard@orders","from":"open","to":"half-open"}`,
		},
		{
			"a toggle tells who", "info",
			exchange.Event{Kind: exchange.Fault, Name: "chaos", From: "inactive", To: "open", Who: exchange.Who{Name: "alice", RequestID: "r-1"}, Line: 7},
			head + `"INFO","msg":"fault","name":"chaos","from":"inactive","to":"open","who":"alice","request_id":"r-1","line":7}`,
		},
		{
			"a kind alone", "info",
			exchange.Event{Kind: exchange.JWKS, Detail: "2 keys"},
			head + `"INFO","msg":"jwks","detail":"2 keys"}`,
		},
		{
			"of a reload others say more", "info",
			exchange.Event{Kind: exchange.Reload, Detail: "2 routes"},
			"",
		},
		{
			"the level holds for events", "warn",
			exchange.Event{Kind: exchange.JWKS},
			"",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			c := defaults()
			c.Level = tt.level
			tt.event.Time = at
			if err := New(&out, c).Event(tt.event); err != nil {
				t.Errorf("Event = %v, want nil", err)
			}
			if diff := cmp.Diff(tt.want, strings.TrimSuffix(out.String(), "\n")); diff != "" {
				t.Errorf("line (-want +got):\n%s", diff)
			}
		})
	}
}

func TestErrorLogWritesNoBody(t *testing.T) {
	var out bytes.Buffer
	New(&out, defaults()).ErrorLog().Print(`Unsolicited response received on idle HTTP channel starting with "secret"; err=<nil>`)
	if got := out.String(); strings.Contains(got, "secret") || !strings.Contains(got, "Unsolicited response") {
		t.Errorf("line = %s, want it without the body", got)
	}
}

func TestErrorLogKeepsNoiseAtDebug(t *testing.T) {
	tests := []struct {
		message string
		want    string
	}{
		{"http: TLS handshake error from 203.0.113.7:4711: EOF", "DEBUG"},
		{"http: URL query contains semicolon, which is no longer a supported separator; parts of the query may be stripped when parsed; see golang.org/issue/25192", "DEBUG"},
		{"suppressing panic for copyResponse error in test; copy error: EOF", "DEBUG"},
		{"httputil: ReverseProxy read error during body copy: context canceled", "DEBUG"},
		{"httputil: ReverseProxy read error during body copy: unexpected EOF", "DEBUG"},
		{"http2: server connection error from 203.0.113.7:4711: connection error: PROTOCOL_ERROR", "DEBUG"},
		{"http2: server closing client connection: http2: frame too large", "DEBUG"},
		{"http2: server: error reading preface from client 203.0.113.7:4711: bogus greeting", "DEBUG"},
		{"http2: received GOAWAY [FrameHeader GOAWAY len=8], starting graceful shutdown", "DEBUG"},
		{"timeout waiting for SETTINGS frames from 203.0.113.7:4711", "DEBUG"},
		{"http2: panic serving 203.0.113.7:4711: context canceled", "WARN"},
		{"http: Accept error: too many open files; retrying in 5ms", "WARN"},
		{"http: panic serving 203.0.113.7:4711: context canceled", "WARN"},
		{"http: superfluous response.WriteHeader call from main.main (main.go:1)", "WARN"},
	}
	for _, tt := range tests {
		t.Run(tt.message, func(t *testing.T) {
			var out bytes.Buffer
			c := defaults()
			c.Level = "debug"
			log := New(&out, c)
			log.ErrorLog().Print(tt.message)
			var got struct{ Level, Msg string }
			if err := json.Unmarshal(out.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			if got.Level != tt.want || got.Msg != tt.message {
				t.Errorf("line = %s %q, want %s %q", got.Level, got.Msg, tt.want, tt.message)
			}

			out.Reset()
			log.Apply(defaults())
			log.ErrorLog().Print(tt.message)
			if written := out.Len() > 0; written != (tt.want == "WARN") {
				t.Errorf("at info, written = %t, want %t", written, !written)
			}
		})
	}
}

// Lines of both formats are written at once while a reload goes on; each
// arrives whole.
func TestLinesStayWhole(t *testing.T) {
	t.Run("at once", func(t *testing.T) { linesStayWhole(t, func(*Log) {}) })
	t.Run("in the background", func(t *testing.T) { linesStayWhole(t, (*Log).Start) })
}

func linesStayWhole(t *testing.T, begin func(*Log)) {
	var out bytes.Buffer
	log := New(&out, defaults())
	text := defaults()
	text.Format = "text"
	const writers, lines = 8, 50

	var wg sync.WaitGroup
	wg.Go(func() { begin(log) })
	for range writers {
		wg.Go(func() {
			for range lines {
				log.End(t.Context(), record())
				_ = log.Event(exchange.Event{Kind: exchange.JWKS})
				log.Logger().Info("hello")
			}
		})
	}
	wg.Go(func() {
		for range lines {
			log.Apply(text)
			log.Apply(defaults())
		}
	})
	wg.Wait()
	log.Close(t.Context())

	n := 0
	for l := range strings.Lines(out.String()) {
		n++
		if !json.Valid([]byte(l)) && !strings.HasPrefix(l, "time=") && !strings.HasPrefix(l, "level=") {
			t.Errorf("line %d = %q, want a whole one", n, l)
		}
	}
	if want := 3 * writers * lines; n != want {
		t.Errorf("%d lines, want %d", n, want)
	}
}
