package authz

import (
	"sync"
	"time"

	"sidecar/internal/exchange"
)

// failing is the word for what does not go well.
const failing = "failing"

// voice says how something goes, if that is another word than the one before.
// It is safe for concurrent use.
type voice struct {
	tell       func(exchange.Event)
	kind, name string
	well       string // the word for what goes well
	// quiet is how long after a word it says nothing better: what fails now and
	// then does not fill the log.
	quiet time.Duration

	mu   sync.Mutex // guards all below, and keeps events in order
	bad  bool       // the last time
	said string
	at   time.Time
}

// say hears how it went this time: err, or detail.
func (v *voice) say(detail string, err error) {
	e := exchange.Event{Time: time.Now(), Kind: v.kind, Name: v.name, To: v.well, Detail: detail}
	if err != nil {
		e.To, e.Detail, e.Bad = failing, err.Error(), true
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.bad = e.Bad
	if e.To == v.said || !v.bad && e.Time.Sub(v.at) < v.quiet {
		return
	}
	e.From, v.said, v.at = v.said, e.To, e.Time
	v.tell(e)
}

// failing reports whether it went wrong the last time.
func (v *voice) failing() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.bad
}
