package retry

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sidecar/internal/exchange"
)

func TestPerTryTimeout(t *testing.T) {
	const second = time.Second
	late := func(r *http.Request) (*http.Response, error) { // but it comes
		select {
		case <-time.After(3 * second):
			return withHeader(200, "X", "x")(r)
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	tests := []struct {
		name     string
		request  *http.Request
		change   func(*Config)
		replies  []any
		want     string
		attempts int
		took     time.Duration // 1s an attempt, no backoff
	}{
		{"ends the first attempt", ask("GET", ""), nil, []any{reply(hang), 200}, "200", 2, second},
		{"not the last, which nobody would repeat", ask("GET", ""), nil, []any{reply(hang), reply(hang), reply(late)}, "200", 3, 5 * second},
		{
			"not where timeout is not repeated", ask("GET", ""),
			func(c *Config) { c.RetryOn = exchange.Conditions{"503"} },
			[]any{reply(late)},
			"200", 1, 3 * second,
		},
		{"not for POST", ask("POST", ""), nil, []any{reply(late)}, "200", 1, 3 * second},
		{"for POST with an Idempotency-Key", keyed(ask("POST", "")), nil, []any{reply(late), 200}, "200", 2, second},
		{"with a body that can be repeated", ask("PUT", "short"), nil, []any{reply(hang), 200}, "200", 2, second},
		{"not once the body is too large", ask("PUT", "larger than 8"), nil, []any{readThen(late)}, "200", 1, 3 * second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := policy(perTry(second), func(c *Config) { c.Backoff = Backoff{} })
				if tt.change != nil {
					tt.change(&c)
				}
				x := send(t, c, tt.request, tt.replies...)
				x.want(t, tt.want, tt.attempts)
				if x.took != tt.took {
					t.Errorf("took %v, want %v", x.took, tt.took)
				}
			})
		})
	}
}

// readThen reads the body first.
func readThen(next reply) reply {
	return func(r *http.Request) (*http.Response, error) {
		if _, err := io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		return next(r)
	}
}

// However the transport words the end of a cancelled call, the breaker inside
// and the client outside hear of a timeout.
func TestPerTryTimeoutIsAFailureOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := policy(perTry(time.Second), func(c *Config) { c.MaxAttempts = 2 })
		var inside error
		x := send(t, c, ask("GET", ""), func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			inside = context.Cause(r.Context())
			return nil, &exchange.Failure{Kind: exchange.FailedClient, Err: r.Context().Err()}
		}, 200)
		x.want(t, "200", 2)
		if failure, ok := errors.AsType[*exchange.Failure](inside); !ok || failure.Kind != exchange.FailedTimeout {
			t.Errorf("cause inside is %v, want a timeout", inside)
		}
		if diff := cmp.Diff([]string{"act timeout: attempt 2 after timeout"}, x.notes()); diff != "" {
			t.Errorf("decisions (-want +got):\n%s", diff)
		}
	})
}

func TestPerTryTimeoutWaitsForTheClientsUpload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := &exchange.Record{}
		rec.SetUploading(true)
		time.AfterFunc(2500*time.Millisecond, func() { rec.SetUploading(false) })
		c := policy(perTry(time.Second), func(c *Config) { c.Backoff = Backoff{} })
		x := send(t, c, with(ask("GET", ""), rec), reply(hang), 200)
		x.want(t, "200", 2)
		if want := 3 * time.Second; x.took != want {
			t.Errorf("the attempt was given up after %v, want %v", x.took, want)
		}
	})
}

func TestResponseThatComesTooLateIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		closed := 0
		send(t, policy(perTry(time.Second)), ask("GET", ""), func(r *http.Request) (*http.Response, error) {
			time.Sleep(2 * time.Second) // deaf to its context
			resp, err := withHeader(200, "X", "x")(r)
			resp.Body = &countClose{resp.Body, &closed}
			return resp, err
		}, 200).want(t, "200", 2)
		if closed != 1 {
			t.Errorf("late response closed %d times, want 1", closed)
		}
	})
}

func TestAttemptsContextLivesAsLongAsItsBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ctx context.Context
		x := send(t, policy(perTry(time.Second)), ask("GET", ""), func(r *http.Request) (*http.Response, error) {
			ctx = r.Context()
			return withHeader(200, "X", "x")(r)
		})
		time.Sleep(time.Hour) // the header timer ended with the headers
		if err := ctx.Err(); err != nil {
			t.Errorf("context ended with %v before the body was closed", err)
		}
		x.resp.Body.Close()
		if ctx.Err() == nil {
			t.Error("context goes on after the body was closed")
		}
	})
}

// tunnel is the body of a 101 response.
type tunnel struct{ io.ReadCloser }

func (tunnel) Write(p []byte) (int, error) { return len(p), nil }

func TestSwitchedProtocolIsPassedOnAsItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, leave := context.WithCancel(t.Context())
		defer leave()
		var inner context.Context
		x := send(t, policy(perTry(time.Second)), ask("GET", "").WithContext(ctx), func(r *http.Request) (*http.Response, error) {
			inner = r.Context()
			resp, err := withHeader(101, "Upgrade", "websocket")(r)
			resp.Body = tunnel{http.NoBody}
			return resp, err
		})
		if _, ok := x.resp.Body.(tunnel); !ok {
			t.Errorf("body is a %T, want the connection itself", x.resp.Body)
		}
		x.resp.Body.Close()
		if inner.Err() != nil {
			t.Error("the attempt's context ended; the connection still needs it")
		}
	})
}

func TestDiscardIsBounded(t *testing.T) {
	tests := []struct {
		name   string
		body   io.Reader
		length int64
		read   int64 // at most
		took   time.Duration
	}{
		{"short", io.LimitReader(zeros{}, 100), -1, 100, 0},
		{"endless", zeros{}, -1, drainSize + 1, 0},
		{"announced as large", zeros{}, drainSize + 1, 0, 0},
		{"stuck", stuck{}, -1, 0, drainTime},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				body := &watched{Reader: tt.body, closed: make(chan struct{})}
				discard(&http.Response{Body: body, ContentLength: tt.length})
				if !body.isClosed() {
					t.Error("body is not closed")
				}
				if body.n > tt.read || tt.name == "short" && body.n != tt.read {
					t.Errorf("%d bytes read, want %d", body.n, tt.read)
				}
				if took := time.Since(start); took != tt.took {
					t.Errorf("took %v, want %v", took, tt.took)
				}
			})
		})
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, errStuck }

var errStuck = errors.New("stuck until closed")

// watched is a body that counts what is read of it.
type watched struct {
	io.Reader
	n      int64
	closed chan struct{}
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	w.n += int64(n)
	if err == errStuck {
		<-w.closed
	}
	return n, err
}

func (w *watched) isClosed() bool {
	select {
	case <-w.closed:
		return true
	default:
		return false
	}
}

func (w *watched) Close() error {
	if !w.isClosed() {
		close(w.closed)
	}
	return nil
}

// lingering is a body whose Close takes a while to return after it has ended the
// Read that waits.
type lingering struct {
	ended   chan struct{}
	closed  atomic.Bool
	closing atomic.Int32
}

func (b *lingering) Read([]byte) (int, error) { <-b.ended; return 0, io.ErrClosedPipe }

func (b *lingering) Close() error {
	b.closing.Add(1)
	defer b.closing.Add(-1)
	if b.closed.CompareAndSwap(false, true) {
		close(b.ended)
		time.Sleep(time.Millisecond)
	}
	return nil
}

// What a response was made in may be used for another one by then.
func TestNobodyClosesWhatWasDiscarded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body := &lingering{ended: make(chan struct{})}
		discard(&http.Response{Body: body, ContentLength: -1})
		if n := body.closing.Load(); n != 0 {
			t.Errorf("after discard %d still close the body, want none", n)
		}
	})
}
