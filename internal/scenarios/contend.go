package main

import (
	"net/http"
	"sync"
	"time"

	"sidecar/internal/beside"
)

// contender is one of those that have the same load at the same time.
type contender struct {
	name    string
	proxy   *beside.Process
	service *service
	samples samples
	levels  []levels   // in each time that it was watched
	phase   *behaviour // of its service, since the last turn
}

// contenders starts a service and a proxy of each kind: bare is a bare proxy,
// and others are sidecars under that policy.
func (w *world) contenders(kinds ...[2]string) ([]*contender, error) {
	var all []*contender
	for _, kind := range kinds {
		c := &contender{name: kind[0]}
		var err error
		if c.service, err = w.service(); err != nil {
			return nil, err
		}
		if kind[1] == "" {
			c.proxy, err = w.bare(c.service.url)
		} else {
			c.proxy, err = w.sidecar(c.service.url, kind[1])
		}
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

// levels are the most that a process had at once.
type levels struct {
	goroutines int
	memory     int64
}

// contend sends l to all at once. Behind each there is a service of its own, and
// turns say what becomes of those at which time.
func contend(l load, all []*contender, turns ...turn) {
	var running sync.WaitGroup
	start := time.Now()
	for _, c := range all {
		running.Go(func() {
			l := l
			l.url = c.proxy.URL
			c.samples = l.run()
		})
		for _, turn := range turns {
			running.Go(func() {
				time.Sleep(time.Until(start.Add(turn.at)))
				turn.do(c)
			})
		}
	}
	running.Wait()
}

// turn is what happens at a time since the load began.
type turn struct {
	at time.Duration
	do func(c *contender)
}

// behave has all services behave so from a time on.
func behave(at time.Duration, serve http.HandlerFunc) turn {
	return turn{at, func(c *contender) { c.phase = c.service.does(serve) }}
}

// amplified returns how many calls the service has had for each request, since
// the last turn.
func (c *contender) amplified() float64 {
	requests := c.samples.that(func(one sample) bool { return one.sent.After(c.phase.since) })
	return float64(c.phase.calls.Load()) / float64(len(requests))
}

// watch keeps the most that c's process has within d.
func (c *contender) watch(d time.Duration) {
	var most levels
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if n, err := c.proxy.Goroutines(); err == nil {
			most.goroutines = max(most.goroutines, n)
		}
		if n, err := c.proxy.Memory(); err == nil {
			most.memory = max(most.memory, n)
		}
	}
	c.levels = append(c.levels, most)
}
