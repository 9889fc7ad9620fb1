package exchange

import "context"

// Moments are some of those at which an Observer may be called.
type Moments uint8

// What they are called.
const (
	AtBegin Moments = 1 << iota
	AtAttempt
	AtAttempted
	AtEnd
)

// A Selective is an Observer to which the other moments are nothing: it need not
// be called then.
type Selective interface {
	Observer
	Moments() Moments
}

// Watch is Observers made ready: each is called only at its moments.
type Watch struct{ begin, attempt, attempted, end Observers }

// Watch returns os made ready.
func (os Observers) Watch() Watch {
	at := func(m Moments) (all Observers) {
		for _, o := range os {
			if s, ok := o.(Selective); !ok || s.Moments()&m != 0 {
				all = append(all, o)
			}
		}
		return all
	}
	return Watch{at(AtBegin), at(AtAttempt), at(AtAttempted), at(AtEnd)}
}

// Begin calls Begin.
func (w *Watch) Begin(ctx context.Context, r *Record) context.Context { return w.begin.Begin(ctx, r) }

// Attempt calls Attempt.
func (w *Watch) Attempt(ctx context.Context, r *Record, a *Attempt) context.Context {
	return w.attempt.Attempt(ctx, r, a)
}

// Attempted calls Attempted.
func (w *Watch) Attempted(ctx context.Context, r *Record, a *Attempt) {
	w.attempted.Attempted(ctx, r, a)
}

// End calls End.
func (w *Watch) End(ctx context.Context, r *Record) { w.end.End(ctx, r) }
