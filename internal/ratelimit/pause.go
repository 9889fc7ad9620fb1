package ratelimit

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"sidecar/internal/exchange"
)

const (
	// tolerance is how many calls in a row may fail before no more are made.
	tolerance = 3
	// A probe comes so long after the failure before it, or after twice that for
	// each that fails, up to the longest.
	firstPause   = 250 * time.Millisecond
	longestPause = 5 * time.Second
)

// pause keeps requests from waiting for a store that fails. It is a circuit
// breaker whose probe is not a request: none waits for a store that is known
// not to answer. The probe begins when a request comes, so that nothing runs
// where there is no traffic.
type pause struct {
	name string
	line int
	tell func(exchange.Event)

	failures atomic.Int32            // in a row
	trouble  atomic.Pointer[trouble] // nil: calls are made

	mu      sync.Mutex // guards all below, and keeps events in order
	length  time.Duration
	until   time.Time
	probing bool
}

// trouble is why no calls are made.
type trouble struct{ err, cause error }

// ask returns nil if a call may be made, else why not. It has probe ask beside
// the request when it is time to.
func (p *pause) ask(probe func() error) error {
	t := p.trouble.Load()
	if t == nil {
		return nil
	}
	if !p.mu.TryLock() {
		return t.err // another looks after it, or tells of it: that may take its time
	}
	defer p.mu.Unlock()
	if p.trouble.Load() != nil && !p.probing && !time.Now().Before(p.until) {
		p.probing = true
		go func() { p.probed(probe()) }()
	}
	return t.err
}

// heard hears how a call went.
func (p *pause) heard(err error) {
	if err == nil {
		if p.failures.Load() != 0 { // else the line would be written by every call
			p.failures.Store(0)
		}
		return
	}
	if p.failures.Add(1) < tolerance {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.trouble.Load() != nil {
		return // others have failed before
	}
	p.length = firstPause
	p.begin(err)
	p.say("answering", "failing", err.Error(), true)
}

// begin begins a pause. p.mu is held.
func (p *pause) begin(cause error) {
	p.until = time.Now().Add(p.length)
	p.trouble.Store(&trouble{fmt.Errorf("store %s is not asked: %w", p.name, cause), cause})
}

// probed hears how a probe went.
func (p *pause) probed(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.probing = false
	if err != nil {
		p.length = min(2*p.length, longestPause)
		p.begin(err)
		return
	}
	p.failures.Store(0)
	p.trouble.Store(nil)
	p.say("failing", "answering", "", false)
}

// say tells of a change. p.mu is held.
func (p *pause) say(from, to, detail string, bad bool) {
	p.tell(exchange.Event{
		Time: time.Now(), Kind: exchange.Store, Name: p.name, From: from, To: to, Detail: detail, Line: p.line, Bad: bad,
	})
}

// problem returns why no calls are made; empty if they are.
func (p *pause) problem() string {
	if t := p.trouble.Load(); t != nil {
		return t.cause.Error()
	}
	return ""
}
