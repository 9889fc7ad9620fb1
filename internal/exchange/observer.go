package exchange

import (
	"context"
	"errors"
	"time"
)

// An Observer sees an exchange begin, each of its attempts, and its end. It
// must not keep the record after End. Its methods are called from many
// goroutines at once.
type Observer interface {
	// Begin comes once the route is known, before anything is decided. It may
	// return a context of its own for the exchange.
	Begin(ctx context.Context, r *Record) context.Context
	// Attempt may return a context of its own for the attempt.
	Attempt(ctx context.Context, r *Record, a *Attempt) context.Context
	// Attempted comes when a has ended, with the context of Attempt. The
	// exchange may have ended before.
	Attempted(ctx context.Context, r *Record, a *Attempt)
	// End comes once, after the last byte of the answer.
	End(ctx context.Context, r *Record)
}

// NoAttempts is the part of an Observer to which attempts are nothing.
type NoAttempts struct{}

// Attempt returns ctx.
func (NoAttempts) Attempt(ctx context.Context, _ *Record, _ *Attempt) context.Context { return ctx }

// Attempted does nothing.
func (NoAttempts) Attempted(context.Context, *Record, *Attempt) {}

// Event is what is no exchange: a breaker's transition, a toggle, how the keys
// of an issuer are fetched, what becomes of an endpoint.
type Event struct {
	Time   time.Time
	Kind   string // CircuitBreaker, Fault, JWKS, Introspection, ByUpstream, Admin or Reload
	Name   string // of the policy instance
	From   string
	To     string
	Who    Who // asked for it; nobody where it came by itself
	Detail string
	Line   int
	Bad    bool // worth waking somebody
	Shadow bool // of a policy in shadow: nothing is refused or done for it
}

// An EventObserver hears events. One that somebody asks for is told before it
// is made, and an error prevents it; what came by itself has already happened,
// and goes on.
type EventObserver interface {
	Event(e Event) error
}

// ErrUnheard is in the error of whoever must hear of a change before it is
// made, and cannot: the change is not made.
var ErrUnheard = errors.New("no change is made that is not audited")

// Observers is what hears of everything, in order.
type Observers []Observer

// Begin calls each observer's Begin.
func (os Observers) Begin(ctx context.Context, r *Record) context.Context {
	for _, o := range os {
		ctx = o.Begin(ctx, r)
	}
	return ctx
}

// Attempt calls each observer's Attempt.
func (os Observers) Attempt(ctx context.Context, r *Record, a *Attempt) context.Context {
	for _, o := range os {
		ctx = o.Attempt(ctx, r, a)
	}
	return ctx
}

// Attempted calls each observer's Attempted.
func (os Observers) Attempted(ctx context.Context, r *Record, a *Attempt) {
	for _, o := range os {
		o.Attempted(ctx, r, a)
	}
}

// End calls each observer's End.
func (os Observers) End(ctx context.Context, r *Record) {
	for _, o := range os {
		o.End(ctx, r)
	}
}

// Event tells e to the observers that hear events, and returns what one of them
// objects. Those behind that one do not hear of what is not done: who may object
// stands first.
func (os Observers) Event(e Event) error {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	for _, o := range os {
		if eo, ok := o.(EventObserver); ok {
			if err := eo.Event(e); err != nil {
				return err
			}
		}
	}
	return nil
}
