package exchange

import (
	"context"
	"net/http"
	"time"
)

// Attempt is one upstream call, or a fault in its place. The attempt layer
// makes it, those inside fill it in, and observers read it when it has ended.
type Attempt struct {
	Number   int // from 1
	Upstream string
	Endpoint string // host:port; empty when none was asked
	Scheme   string // http or https, of the endpoint
	Fault    string // the fault that answered or delayed; empty if none
	Start    time.Time

	// Spoiled are the faults for which its answer is not the upstream's: it was
	// made for them, or its body changed.
	Spoiled []string

	// Forward is what the upstream sees in these header fields, whatever the
	// other attempts have in them; an empty value: it does not see the field.
	// Observers add to it when the attempt begins.
	Forward []Field

	// Kept is what the upstream made its answer in, or may make it in: the answer
	// of an exchange that is over, which nobody has any more. nil: there is none.
	Kept Memory

	// Once it has ended:

	Status  int      // of the response; 0 with a Failure
	Failure *Failure // nil with a response
	Took    time.Duration

	// Replays is how often net/http's Transport wrote the request again by
	// itself, on a fresh connection, because a reused one was dead.
	Replays int
}

// Memory is what may be used again.
type Memory interface {
	Clear() // forgets what was in it
}

// Outcome returns the end of the attempt in one word: a status or the kind of
// its failure.
func (a *Attempt) Outcome() string {
	if a.Failure != nil {
		return string(a.Failure.Kind)
	}
	return statusWord(a.Status)
}

func statusWord(status int) string {
	if status < 100 || status > 999 {
		return "0"
	}
	return string([]byte{'0' + byte(status/100), '0' + byte(status/10%10), '0' + byte(status%10)})
}

type attemptKey struct{}

// WithAttempt returns a context that carries a.
func WithAttempt(ctx context.Context, a *Attempt) context.Context {
	return context.WithValue(ctx, attemptKey{}, a)
}

// AttemptOf returns the attempt that r is, or a throwaway one.
func AttemptOf(r *http.Request) *Attempt {
	if a, ok := r.Context().Value(attemptKey{}).(*Attempt); ok {
		return a
	}
	return &Attempt{Number: 1}
}
