package proxy

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sidecar/internal/exchange"
	"sidecar/internal/validation"
)

const (
	greeting = "validation: {v: {mode: MODE, jsonSchema: testdata/greeting.json}}"
	hello    = `{ "hello" : "world" }`
)

func checked(mode string) string {
	return strings.ReplaceAll(with("validation: v", greeting), "MODE", mode)
}

// dripping is a client's connection on which the bytes of a body come one at a
// time, until its read deadline.
type dripping struct {
	*httptest.ResponseRecorder
	every time.Duration
	text  string

	mu       sync.Mutex // guards deadline
	deadline time.Time
}

func (d *dripping) SetReadDeadline(at time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.deadline = at
	return nil
}

func (d *dripping) until() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.deadline
}

func (d *dripping) Read(p []byte) (int, error) {
	if d.text == "" {
		return 0, io.EOF
	}
	if at := d.until(); !at.IsZero() && time.Now().Add(d.every).After(at) {
		time.Sleep(time.Until(at))
		return 0, os.ErrDeadlineExceeded
	}
	time.Sleep(d.every)
	n := copy(p[:1], d.text)
	d.text = d.text[n:]
	return n, nil
}

func (d *dripping) Close() error { return nil }

func (d *dripping) serve(p *Proxy) *http.Response {
	r := httptest.NewRequest("POST", "/", d)
	r.ContentLength = int64(len(d.text))
	r.Header.Set("Content-Type", "application/json")
	p.ServeHTTP(d, r)
	return d.Result()
}

// A body that is checked is read before the upstream is called: the client has
// the route's timeout for it, and the upstream has as long again.
func TestAClientHasTheTimeoutForABodyThatIsChecked(t *testing.T) {
	const length = time.Duration(len(hello))
	tests := []struct {
		name         string
		mode, times  string
		every        time.Duration
		status       int
		took, called time.Duration
	}{
		{"in time", "enforce", "timeout: 3s", 3 * time.Second / length, 200, 5 * time.Second, 3 * time.Second},
		{"too slow", "enforce", "timeout: 3s", 3*time.Second/length + 1, 408, 3 * time.Second, -1},
		{"one byte and no more", "enforce", "timeout: 3s", time.Hour, 408, 3 * time.Second, -1},
		{"without a timeout", "enforce", "timeout: 0s, streamIdleTimeout: 7s", time.Hour, 408, 7 * time.Second, -1},
		{"without any", "enforce", "timeout: 0s, streamIdleTimeout: 0s", time.Hour, 408, time.Minute, -1},
		{"in shadow, which waits for nobody", "shadow", "timeout: 3s", 100 * time.Millisecond, 200, 2100 * time.Millisecond, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var start time.Time
			called := time.Duration(-1)
			answers := func(r *http.Request) (*http.Response, error) {
				called = time.Since(start)
				if got, err := io.ReadAll(r.Body); string(got) != hello || err != nil {
					t.Errorf("the upstream gets %q, %v, want %q", got, err, hello)
				}
				if tt.mode == "enforce" {
					time.Sleep(2 * time.Second) // its own time
				}
				return exchange.NewResponse(r, 200, "", nil, nil), nil
			}
			text := strings.Replace(checked(tt.mode), "name: all,", "name: all, "+tt.times+",", 1)
			inBubble(t, text, answers, func(t *testing.T, p *Proxy, saw *seen) {
				start = time.Now()
				d := &dripping{ResponseRecorder: httptest.NewRecorder(), every: tt.every, text: hello}
				resp := d.serve(p)
				// The times are those of 21 bytes.
				if took := time.Since(start).Round(time.Millisecond); resp.StatusCode != tt.status || took != tt.took {
					t.Errorf("status %d after %v, want %d after %v", resp.StatusCode, took, tt.status, tt.took)
				}
				if called.Round(time.Millisecond) != tt.called && called != tt.called {
					t.Errorf("the upstream is called after %v, want %v", called, tt.called)
				}
				e := saw.next(t)
				if want := map[int]exchange.Reason{408: exchange.ClientTimeout}[tt.status]; e.Reason != want {
					t.Errorf("reason %q, want %q", e.Reason, want)
				}
				if at := d.until(); tt.status == 200 && !at.IsZero() {
					t.Errorf("the connection keeps a read deadline, %v", at)
				}
				if got := p.Snapshot().Breakers()[0].Status(); got.Failures != 0 {
					t.Errorf("the breaker counts %d failures, want none", got.Failures)
				}
			})
		})
	}
}

func TestASlowBodyThatIsCheckedIs408OnARealSocket(t *testing.T) {
	up := service(t, func(http.ResponseWriter, *http.Request) { t.Error("the upstream is called") })
	text := strings.Replace(checked("enforce"), "name: all,", "name: all, timeout: 200ms,", 1)
	for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(proto, func(t *testing.T) {
			p, saw := apply(t, text, up)
			pr, pw := io.Pipe()
			defer pw.Close()
			go func() { _, _ = pw.Write([]byte(`{"hello":`)) }()
			r, _ := http.NewRequest("POST", listen(t, p), pr)
			r.Header.Set("Content-Type", "application/json")
			c := client(t)
			if proto == "HTTP/2.0" {
				c = h2cClient(t)
			}
			resp, err := c.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if e := saw.next(t); resp.StatusCode != 408 || e.Reason != exchange.ClientTimeout {
				t.Errorf("status %d, reason %q, want 408 client_timeout", resp.StatusCode, e.Reason)
			}
		})
	}
}

// What the upstream gets is what the client sent: length or chunks, and
// trailers, also when the call is repeated.
func TestACheckedBodyGoesOnAsItCame(t *testing.T) {
	var calls atomic.Int64
	up := service(t, func(w http.ResponseWriter, r *http.Request) {
		got, err := io.ReadAll(r.Body)
		if calls.Add(1) == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintf(w, "%q %v length %d %v trailer %v", got, err, r.ContentLength, r.TransferEncoding, r.Trailer)
	})
	tests := []struct {
		name, mode string
		h2, length bool
		want       string
	}{
		{"HTTP/1 of known length", "enforce", false, true, "length 21 [] trailer map[]"},
		{"HTTP/1 in chunks", "enforce", false, false, "length -1 [chunked] trailer map[X-Sum:[42]]"},
		{"HTTP/2 of known length", "enforce", true, true, "length 21 [] trailer map[]"},
		{"HTTP/2 of unknown length", "enforce", true, false, "length -1 [chunked] trailer map[X-Sum:[42]]"},
		{"in shadow", "shadow", false, false, "length -1 [chunked] trailer map[X-Sum:[42]]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			calls.Store(0)
			p, _ := apply(t, checked(tt.mode), up)
			r, _ := http.NewRequest("POST", listen(t, p), strings.NewReader(hello))
			if !tt.length {
				r, _ = http.NewRequest("POST", r.URL.String(), io.NopCloser(strings.NewReader(hello)))
				r.Trailer = http.Header{"X-Sum": {"42"}}
			}
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Idempotency-Key", "1")
			c := client(t)
			if tt.h2 {
				c = h2cClient(t)
			}
			resp, err := c.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := body(t, resp), fmt.Sprintf("%q <nil> %s", hello, tt.want); got != want || calls.Load() != 2 {
				t.Errorf("call %d gets %s, want a second call that gets %s", calls.Load(), got, want)
			}
		})
	}
}

func TestAClientIsToldWhatDoesNotFit(t *testing.T) {
	var calls atomic.Int64
	up := service(t, func(http.ResponseWriter, *http.Request) { calls.Add(1) })
	p, saw := apply(t, checked("enforce"), up)
	c := dial(t, listen(t, p))
	for range 2 { // over one connection
		c.say("POST / HTTP/1.1\nHost: h\nContent-Type: application/json\nContent-Length: 14\n\n{\"hello\":1234}")
		resp := c.answer(t, "POST")
		var doc struct {
			Reason string
			Errors []exchange.Violation
		}
		text := body(t, resp)
		if err := json.Unmarshal([]byte(text), &doc); err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != 422 || resp.Header.Get("Content-Type") != "application/problem+json" || resp.Close ||
			doc.Reason != "schema_violation" || len(doc.Errors) != 1 || *doc.Errors[0].Pointer != "/hello" {
			t.Errorf("%d %s, want 422 and the pointer /hello", resp.StatusCode, text)
		}
		saw.next(t)
	}
	if calls.Load() != 0 {
		t.Errorf("the upstream is called %d times, want 0", calls.Load())
	}
}

func TestWhatBodiesHeldIsGivenBackAndOutlivesAReload(t *testing.T) {
	up := service(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	p, saw := apply(t, checked("enforce"), up)
	before := one[*validation.Buffers](p.Snapshot().state)
	for range 3 {
		resp, err := client(t).Post(listen(t, p), "application/json", strings.NewReader(hello))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		saw.next(t)
	}
	for end := time.Now().Add(10 * time.Second); before.Used() != 0 && time.Now().Before(end); {
		continue // the server ends the request's context when the handler has returned
	}
	if used := before.Used(); used != 0 {
		t.Errorf("%d bytes are used when all is over, want none", used)
	}
	if err := p.Apply(parse(t, strings.Replace(checked("enforce"), "name: all", "name: other", 1), up)); err != nil {
		t.Fatal(err)
	}
	if one[*validation.Buffers](p.Snapshot().state) != before {
		t.Error("a reload forgets what is held in memory")
	}
}

func TestAWrongSchemaIsAProblemOfItsKey(t *testing.T) {
	text := strings.ReplaceAll(checked("enforce"), "testdata/greeting.json", "testdata/secret")
	err := New(Options{}).Apply(parse(t, text, "http://127.0.0.1:1"))
	if err == nil || !strings.Contains(err.Error(), "test.yaml:4:47: policies.validation.v.jsonSchema: must be JSON") {
		t.Errorf("Apply() = %v, want a problem of jsonSchema in line 4", err)
	}
}
