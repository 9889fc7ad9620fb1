package logging

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sidecar/internal/exchange"
)

// bySlog returns the line of r as the standard library writes it.
func bySlog(c Config, r *exchange.Record) string {
	var out bytes.Buffer
	var gathered textLine
	s := New(io.Discard, c).settings.Load()
	var said []*exchange.Decision
	if r.Notable() {
		said = r.Notes()
	}
	s.tell(&gathered, r, said)
	for i, a := range gathered.attrs {
		if notes, ok := a.Value.Any().([]note); ok {
			gathered.attrs[i] = slog.Any(a.Key, asObjects(notes))
		}
	}
	line := slog.NewRecord(r.Start.Add(r.Took), slog.LevelInfo, requestLine, 0)
	line.AddAttrs(gathered.attrs...)
	_ = slog.NewJSONHandler(&out, nil).Handle(context.Background(), line)
	return out.String()
}

func asObjects(notes []note) any {
	type object struct {
		Kind    string           `json:"kind"`
		Policy  string           `json:"policy,omitempty"`
		Outcome exchange.Outcome `json:"outcome"`
		Reason  exchange.Reason  `json:"reason,omitempty"`
		Rule    string           `json:"rule,omitempty"`
		Detail  string           `json:"detail,omitempty"`
		Line    int              `json:"line,omitempty"`
	}
	objects := make([]object, len(notes))
	for i, n := range notes {
		objects[i] = object{n.Kind, n.Policy, n.Outcome, n.Reason, n.Rule, n.Detail, n.Line}
	}
	return objects
}

// tokens returns what a reader of JSON sees in line, keys in their order.
func tokens(t *testing.T, line string) (ts []json.Token) {
	t.Helper()
	if !json.Valid([]byte(line)) {
		t.Fatalf("line = %q, want valid JSON", line)
	}
	d := json.NewDecoder(strings.NewReader(line))
	d.UseNumber()
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return ts
		}
		if err != nil {
			t.Fatalf("line = %q: %v", line, err)
		}
		ts = append(ts, token)
	}
}

// Very long texts are no longer than they must be, and nothing of one is left
// in the next line.
func TestALongLineIsWhole(t *testing.T) {
	var out bytes.Buffer
	log := New(&out, defaults())
	for _, path := range []string{strings.Repeat("x", 100_000), strings.Repeat("\u2028", 20_000), strings.Repeat("\xff\x00\"", 9_000), "/"} {
		r := with(func(r *exchange.Record) { r.Path = path })
		out.Reset()
		log.End(t.Context(), r)
		if want := bySlog(defaults(), r); out.String() != want {
			t.Errorf("a path of %d bytes: a line of %d bytes, want %d", len(path), out.Len(), len(want))
		}
	}
}

// FuzzLineIsThatOfTheLibrary holds that a line says what it would if slog and
// encoding/json wrote it, in the same order, whatever stands in the record.
func FuzzLineIsThatOfTheLibrary(f *testing.F) {
	f.Add("req-1", "GET", "/v1", "alice", "Accept", "*/*", "web", "", 200, int64(5), int64(1234567), int64(900), 1)
	f.Add("\x00\x07\b\f\v\x1b\x1f\x7f", "\"\\/", "\u2028\u2029\u2027\ufeff", "\ufffd", "a\nb", "\r\t", "</script>&", "eth0\"\n", -1, int64(-5), int64(-1), int64(-999), 0)
	f.Add("\xff", "\xc3", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x80", "\xe2\x80\xa8", "\xe2\x80\xa9\xff", "\xff", 1<<40, int64(1)<<62, int64(1)<<62, int64(1)<<61, 2)
	f.Fuzz(func(t *testing.T, id, method, path, subject, name, value, detail, zone string, status int, bytes, took, waited int64, attempts int) {
		r := with(func(r *exchange.Record) {
			r.ID, r.TraceID, r.Method, r.Path, r.Host, r.Proto = id, value, method, path, subject, name
			r.Route, r.Upstream, r.Status, r.Reason = name, detail, status, exchange.Reason(value)
			r.BytesIn, r.BytesOut, r.Took = bytes, -bytes, time.Duration(took)
			r.Start = time.Date(2026, 3, 1, 12, 0, 0, int(uint64(waited)%1e9), time.FixedZone("", int(took%86_400)))
			r.Waited(time.Duration(waited))
			for range attempts % 3 {
				r.NextAttempt()
			}
			r.Client = netip.MustParseAddr("fe80::1").WithZone(zone)
			if y := r.Start.Add(r.Took).Year(); y < 0 || y > 9999 {
				r.Took = 0
			}
			r.RequestHeader = http.Header{name: {value, detail}, value: {}, "X-Fixed": {subject}, subject: {id}}
			r.Identify(&exchange.Principal{Subject: subject, By: value})
		})
		if attempts%2 == 0 {
			r.Note(exchange.Decision{Kind: name, Policy: value, Outcome: exchange.Pass})
			r.Note(exchange.Decision{Kind: name, Policy: value, Outcome: exchange.Act, Reason: exchange.Reason(detail), Rule: subject, Detail: detail, Line: status})
			r.Note(exchange.Decision{Kind: detail, Outcome: exchange.Outcome(subject), Reason: exchange.Reason(id)})
		}
		for _, level := range []string{"info", "debug"} {
			c := defaults()
			c.Level = level
			got := line(t, c, r)
			if r.Reason == exchange.InternalError {
				got = strings.Replace(got, `"level":"ERROR"`, `"level":"INFO"`, 1)
			}
			if strings.Count(got, "\n") != 1 || !strings.HasSuffix(got, "\n") || strings.ContainsAny(got, "\r\u2028\u2029") {
				t.Fatalf("line = %q, want one line, whoever reads it", got)
			}
			want := bySlog(c, r)
			if diff := cmp.Diff(tokens(t, want), tokens(t, got)); diff != "" {
				t.Errorf("line (-slog +ours):\n%s", diff)
			}
			// What slog leaves to encoding/json has two shorter escapes.
			if level == "info" && r.Reason != "" && !r.Notable() && got != want {
				t.Errorf("line = %q, want %q", got, want)
			}
		}
	})
}

func TestMillisecondsAreWhatAFloatWouldBe(t *testing.T) {
	for _, d := range []time.Duration{
		0, 999, time.Microsecond, 10 * time.Microsecond, 120 * time.Microsecond, time.Millisecond,
		1234567, 1200 * time.Microsecond, 1020 * time.Microsecond, 100 * time.Millisecond, 25 * time.Hour, -time.Microsecond,
		-1234567, 1e15 * time.Microsecond, 1e15*time.Microsecond - time.Microsecond, 1e15*time.Microsecond + time.Microsecond, 1<<63 - 1, -1 << 63,
	} {
		want := strconv.FormatFloat(milliseconds(d), 'f', -1, 64)
		if got := string(appendMillis(nil, d)); got != want {
			t.Errorf("%d ns is %s ms, want %s", d, got, want)
		}
	}
}
