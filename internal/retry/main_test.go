package retry

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sidecar/internal/exchange"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// policy is one in which every number can be told apart.
func policy(change ...func(*Config)) Config {
	var c Config
	c.SetDefaults()
	c.Line = 7
	c.MaxAttempts = 3
	c.RetryOn = append(c.RetryOn, "timeout")
	c.Backoff = Backoff{Base: 100 * time.Millisecond, Max: 150 * time.Millisecond}
	c.MaxBufferedBody = 8
	for _, f := range change {
		f(&c)
	}
	return c
}

func perTry(d time.Duration) func(*Config) { return func(c *Config) { c.PerTryTimeout = d } }

// generous is a budget that is never spent.
func generous() *Budget {
	return NewBudget(BudgetConfig{Percent: 100, MinPerSecond: 1000, Window: 10 * time.Second})
}

func half() float64 { return 0.5 }

// upstream answers each call with the next reply of its script: a status, a
// kind of Failure, an error, or a function.
type upstream struct {
	t       *testing.T
	replies []any
	bodies  []string    // as each attempt read them
	at      []time.Time // when each attempt came
	closed  int         // responses
}

type reply = func(*http.Request) (*http.Response, error)

func (u *upstream) RoundTrip(r *http.Request) (*http.Response, error) {
	n := len(u.at)
	u.at = append(u.at, time.Now())
	if n >= len(u.replies) {
		u.t.Errorf("attempt %d comes after the last reply", n+1)
		return nil, io.ErrUnexpectedEOF
	}
	reply, scripted := u.replies[n].(reply)
	if !scripted {
		// Answers once the body has come.
		body := ""
		if r.Body != nil {
			b, err := io.ReadAll(r.Body)
			r.Body.Close()
			if err != nil {
				return nil, err
			}
			body = string(b)
		}
		u.bodies = append(u.bodies, body)
	}
	switch word := u.replies[n].(type) {
	case int:
		return u.respond(r, word, nil), nil
	case exchange.FailureKind:
		return nil, &exchange.Failure{Kind: word, Err: errors.New("scripted")}
	case error:
		return nil, word
	}
	return reply(r)
}

// respond makes a response and counts when it is closed.
func (u *upstream) respond(r *http.Request, status int, h http.Header) *http.Response {
	resp := exchange.NewResponse(r, status, "", []byte("answer"), h)
	resp.Body = &countClose{resp.Body, &u.closed}
	return resp
}

// withHeader answers with a field.
func withHeader(status int, name, value string) reply {
	return func(r *http.Request) (*http.Response, error) {
		return exchange.NewResponse(r, status, "", nil, http.Header{name: {value}}), nil
	}
}

// trailersOnly ends a gRPC call.
func trailersOnly(code int, h http.Header) reply {
	return func(r *http.Request) (*http.Response, error) { return exchange.GRPCResponse(r, code, "", h), nil }
}

// hang never answers.
func hang(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

type countClose struct {
	io.ReadCloser
	n *int
}

func (c *countClose) Close() error {
	*c.n++
	return c.ReadCloser.Close()
}

// exchanged is what came of one request.
type exchanged struct {
	resp   *http.Response
	err    error
	up     *upstream
	record *exchange.Record
	took   time.Duration
}

// send sends r through a retry with config c in front of a script.
func send(t *testing.T, c Config, r *http.Request, replies ...any) *exchanged {
	t.Helper()
	return sendWithin(t, c, generous(), r, replies...)
}

func sendWithin(t *testing.T, c Config, b *Budget, r *http.Request, replies ...any) *exchanged {
	t.Helper()
	x := &exchanged{up: &upstream{t: t, replies: replies}, record: &exchange.Record{}}
	if rec, ok := r.Context().Value(recordOf{}).(*exchange.Record); ok {
		x.record = rec
	}
	start := time.Now()
	r = r.WithContext(exchange.With(r.Context(), x.record))
	x.resp, x.err = New("safe", c, b, nil, half).Wrap(x.up).RoundTrip(r)
	x.took = time.Since(start)
	if x.err == nil {
		t.Cleanup(func() { x.resp.Body.Close() })
	}
	return x
}

type recordOf struct{}

// with gives r a record that is known before it is sent.
func with(r *http.Request, rec *exchange.Record) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), recordOf{}, rec))
}

// end says how the exchange ended: a status, a reason or a kind of failure.
func (x *exchanged) end() string {
	if refusal, ok := errors.AsType[*exchange.Refusal](x.err); ok {
		return string(refusal.Reason)
	}
	if failure, ok := errors.AsType[*exchange.Failure](x.err); ok {
		return string(failure.Kind)
	}
	if x.err != nil {
		return x.err.Error()
	}
	return strconv.Itoa(x.resp.StatusCode)
}

// notes returns the decisions, "act 503: attempt 2 after 503" each.
func (x *exchanged) notes() []string {
	var notes []string
	for _, d := range x.record.Decisions() {
		note := string(d.Outcome) + " " + string(d.Reason)
		if d.Detail != "" {
			note += ": " + d.Detail
		}
		notes = append(notes, note)
	}
	return notes
}

func (x *exchanged) want(t *testing.T, end string, attempts int) {
	t.Helper()
	if got := x.end(); got != end {
		t.Errorf("ends with %s, want %s", got, end)
	}
	if got := len(x.up.at); got != attempts {
		t.Errorf("%d attempts, want %d", got, attempts)
	}
}

// ask makes a request of a method, with an optional body.
func ask(method, body string) *http.Request {
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	return httptest.NewRequest(method, "/", r)
}

func keyed(r *http.Request) *http.Request {
	r.Header.Set("Idempotency-Key", "k")
	return r
}
