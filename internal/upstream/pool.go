package upstream

import (
	"slices"
	"sync"
	"time"
)

// pool keeps the unused connections to one endpoint. The one used last is used
// next, so that a quiet hour leaves few. It is safe for concurrent use.
type pool struct {
	max     int
	timeout time.Duration

	mu    sync.Mutex // guards all below
	idle  []*wire    // the longest unused first
	timer *time.Timer
	armed bool // the timer runs: something is idle, or was
}

// get returns a connection that may be dead by now, or nil.
func (p *pool) get() *wire {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := len(p.idle) - 1
	if last < 0 {
		return nil
	}
	w := p.idle[last]
	p.idle[last] = nil
	p.idle = p.idle[:last]
	return w
}

// put keeps w, which nobody may use any more, or closes it.
func (p *pool) put(w *wire) {
	if !p.keep(w) {
		w.Close()
	}
}

func (p *pool) keep(w *wire) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) >= p.max {
		return false
	}
	w.reused, w.idleSince = true, time.Now()
	p.idle = append(p.idle, w)
	if !p.armed {
		p.arm(p.timeout)
	}
	return true
}

// arm lets expire run after d: one timer serves all connections. p.mu is held.
func (p *pool) arm(d time.Duration) {
	p.armed = true
	if p.timer == nil {
		p.timer = time.AfterFunc(d, p.expire)
		return
	}
	p.timer.Reset(d)
}

// expire closes what was unused for too long.
func (p *pool) expire() {
	for _, w := range p.expired(time.Now()) {
		w.Close()
	}
}

func (p *pool) expired(now time.Time) []*wire {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for n < len(p.idle) && now.Sub(p.idle[n].idleSince) >= p.timeout {
		n++
	}
	old := slices.Clone(p.idle[:n])
	p.idle = slices.Delete(p.idle, 0, n)
	if p.armed = len(p.idle) > 0; p.armed {
		p.arm(p.timeout - now.Sub(p.idle[0].idleSince))
	}
	return old
}

// closeIdle closes all that nobody uses just now.
func (p *pool) closeIdle() {
	for _, w := range p.takeAll() {
		w.Close()
	}
}

func (p *pool) takeAll() []*wire {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.idle
	p.idle = nil
	if p.armed {
		p.timer.Stop()
		p.armed = false
	}
	return all
}
