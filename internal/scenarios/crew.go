package main

import (
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// crew is a service of so many workers. A call waits in line for one, and has
// its time although nobody may wait for the answer any more: few services look.
type crew struct {
	line *line
	each time.Duration
	done atomic.Int64
}

func (c *crew) serve(w http.ResponseWriter, r *http.Request) {
	c.line.enter()
	defer c.line.leave()
	time.Sleep(c.each)
	c.done.Add(1)
	well(w, r)
}

// line lets by so many at once, in the order in which they came.
type line struct {
	mu      sync.Mutex // guards all below
	free    int
	waiting []chan struct{}
}

func newLine(n int) *line { return &line{free: n} }

func (l *line) enter() {
	l.mu.Lock()
	if l.free > 0 {
		l.free--
		l.mu.Unlock()
		return
	}
	turn := make(chan struct{})
	l.waiting = append(l.waiting, turn)
	l.mu.Unlock()
	<-turn
}

func (l *line) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) == 0 {
		l.free++
		return
	}
	close(l.waiting[0])
	l.waiting = l.waiting[1:]
}
