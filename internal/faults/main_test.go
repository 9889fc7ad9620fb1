package faults

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sidecar/internal/exchange"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// policy returns one that breaks every attempt as change says.
func policy(name string, change func(*Config)) Named {
	n := Named{Name: name}
	n.Line = 7
	n.SetDefaults()
	change(&n.Config)
	return n
}

func aborts(status int) func(*Config) { return func(c *Config) { c.Abort.Status = status } }

func delays(fixed time.Duration) func(*Config) { return func(c *Config) { c.Delay.Fixed = fixed } }

// by is somebody who changes faults.
func by(name string) exchange.Who { return exchange.Who{Name: name} }

// on returns faults that are all switched on.
func on(t *testing.T, fs ...Named) *Faults {
	t.Helper()
	s := NewSwitch(nil)
	s.Sync(fs)
	for _, f := range fs {
		if _, err := s.On(f.Name, Toggle{}, by("test")); err != nil {
			t.Fatal(err)
		}
	}
	return New(s, fs)
}

// upstream answers 200 and counts its calls.
type upstream struct{ calls int }

func (u *upstream) RoundTrip(r *http.Request) (*http.Response, error) {
	u.calls++
	return exchange.NewResponse(r, http.StatusOK, "text/plain", []byte("real"), nil), nil
}

// attempt is a call by one request id, with what is to be seen of it.
type attempt struct {
	*http.Request
	record  *exchange.Record
	attempt *exchange.Attempt
	body    *body
}

type body struct {
	io.Reader
	closed bool
}

func (b *body) Close() error { b.closed = true; return nil }

func call(id string, number int) attempt {
	a := attempt{
		record:  &exchange.Record{ID: id},
		attempt: &exchange.Attempt{Number: number},
		body:    &body{Reader: strings.NewReader("hello")},
	}
	a.Request = httptest.NewRequest("POST", "/orders", a.body)
	ctx := exchange.WithAttempt(exchange.With(a.Context(), a.record), a.attempt)
	a.Request = a.WithContext(ctx)
	return a
}

func (a attempt) grpc() attempt {
	a.ProtoMajor = 2
	a.Header.Set("Content-Type", "application/grpc")
	return a
}

func (a attempt) under(ctx func(context.Context) context.Context) attempt {
	a.Request = a.WithContext(ctx(a.Context()))
	return a
}

// send returns the status and the body, or the kind of the failure.
func (a attempt) send(t *testing.T, f *Faults, next http.RoundTripper) (*http.Response, string) {
	t.Helper()
	resp, err := f.Wrap(next).RoundTrip(a.Request)
	if err != nil {
		var failure *exchange.Failure
		if !errors.As(err, &failure) {
			t.Fatalf("error = %v (%T), want a Failure", err, err)
		}
		return nil, string(failure.Kind)
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp, string(text)
}

func (a attempt) reasons() string {
	var words []string
	for _, d := range a.record.Decisions() {
		words = append(words, d.Policy+" "+string(d.Reason)+" "+d.Detail)
	}
	return strings.Join(words, ", ")
}
