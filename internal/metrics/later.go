package metrics

import (
	"sync"
	"time"

	"sidecar/internal/exchange"
)

// later is what was seen, and is not counted yet.
type later struct {
	begun     batch[string] // routes
	attempted batch[seenAttempt]
	ended     batch[seenEnd]
}

// seenAttempt is an attempt that was answered.
type seenAttempt struct {
	route, upstream string
	status          int
	took            time.Duration
}

// seenEnd is the end of an exchange that every policy let pass.
type seenEnd struct {
	route, method string
	status        int
	took          time.Duration
	said          exchange.Passes
}

// countLater has what is seen counted in m's series, when its time has come.
func (m *Metrics) countLater() {
	m.later.begun.count = m.inFlight.in
	m.later.attempted.count = func(s seenAttempt) {
		m.routes.get(s.route).attempted(attempt{upstream: s.upstream, status: s.status}, s.took)
	}
	m.later.ended.count = func(s seenEnd) {
		rt := m.ended(s)
		if !rt.passing.count(s.said) {
			rt.said(s.said[:])
		}
	}
}

// settle counts all that has been seen.
func (l *later) settle() {
	l.begun.settle()
	l.attempted.settle()
	l.ended.settle()
}

// batch keeps what was seen until there is a number of it, or until somebody
// asks. When a request comes, the series that it counts in, and the code that
// does so, have mostly left the processor's caches: all of a batch but the first
// find them there.
type batch[S any] struct {
	count func(S) // must be set before the first use

	mu   sync.Mutex // guards all below; held while they are counted, so that settle leaves none
	n    int
	seen [batchSize]S
}

const batchSize = 32

// add has s counted, sooner or later. It waits for nobody.
func (b *batch[S]) add(s S) {
	if !b.mu.TryLock() {
		b.count(s)
		return
	}
	b.seen[b.n] = s
	b.n++
	if b.n == batchSize {
		b.flush()
	}
	b.mu.Unlock()
}

// settle counts all that was added.
func (b *batch[S]) settle() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.flush()
}

// flush counts what there is. b.mu is held.
func (b *batch[S]) flush() {
	for _, s := range b.seen[:b.n] {
		b.count(s)
	}
	b.n = 0
}
