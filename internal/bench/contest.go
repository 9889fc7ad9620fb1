package main

import (
	"fmt"
	"slices"
	"time"

	"sidecar/internal/beside"
)

// The proxies that take part. All get the same requests, with a token.
const (
	bare    = "bare"    // a tuned httputil.ReverseProxy
	bareGC  = "bareGC"  // the same, which collects garbage as seldom as the sidecar
	full    = "full"    // every kind of policy
	logged  = "logged"  // and every request in the access log
	calls   = "calls"   // and net/http's Transport to the upstream
	reads   = "reads"   // and net/http's server, alone
	eagerGC = "eagerGC" // and Go's GOGC
	empty   = "empty"   // no policy at all
	fresh   = "fresh"   // full, for requests whose tokens nobody has seen
)

// contest is a proxy under a load, beside the bare one under the same.
type contest struct {
	name  string
	proxy string
	load  load
	// atMost is the share of the bare one's CPU time that must hold; 0: it is
	// only told.
	atMost float64
}

// promised are those that the sidecar has to win.
var promised = []contest{
	{"full policy, GET 1 KiB", full, getSmall, 0.70},
	{"the same, every request in the access log", logged, getSmall, 0.76},
	{"full policy, POST 4 KiB", full, post, 0.60},
	{"full policy, GET 64 KiB", full, getLarge, 0.70},
}

// told are what the steps towards that are worth, with GET 1 KiB.
var told = []contest{
	{"full policy, as above", full, getSmall, 0},
	{"with the upstream's `transport: standard`", calls, getSmall, 0},
	{"with the server's `transport: standard`", reads, getSmall, 0},
	{"with GOGC=100, as Go has it", eagerGC, getSmall, 0},
	{"with no policy: the seam, the metrics and the upstream's call", empty, getSmall, 0},
	{"the bare one, with GOGC=400 as the sidecar has it", bareGC, getSmall, 0},
}

// run is one measurement of a round.
type run struct {
	proxy string
	load  string
}

// contests measures each proxy of a contest, and the bare one, under its load.
// Every other round it goes the other way round, so that what drifts favours
// nobody.
func (w *world) contests(r *results, length time.Duration) error {
	all := slices.Concat(promised, told)
	var runs []contest
	for _, l := range []load{getSmall, post, getLarge} {
		runs = append(runs, contest{proxy: bare, load: l})
		for _, c := range all {
			same := func(other contest) bool { return other.run() == c.run() }
			if c.load.name == l.name && !slices.ContainsFunc(runs, same) {
				runs = append(runs, c)
			}
		}
	}
	if r.rounds%2 == 1 {
		slices.Reverse(runs)
	}
	for _, c := range runs {
		message := c.load.message(w.tokens[0])
		cost, err := measure(w.proxies[c.proxy], message, until(length, message))
		if err != nil {
			return fmt.Errorf("%s, %s: %w", c.proxy, c.load.name, err)
		}
		r.cpu[c.run()] = append(r.cpu[c.run()], micros(cost))
	}
	r.rounds++
	return nil
}

func (c contest) run() run { return run{c.proxy, c.load.name} }

// coldTurns is how often known tokens and new ones take turns in a round.
const coldTurns = 5

// cold measures what a request with a token that was not sent before costs over
// one with a token that was. Both go over the same connections to one process,
// in short turns, so that whatever else the machine does, and what the process
// is used to, is the same for both.
func (w *world) cold(r *results, length time.Duration) error {
	p, known := w.proxies[fresh], getSmall.message(w.tokens[0])
	cs, err := dial(p.URL, clientCount, known)
	if err != nil {
		return err
	}
	defer cs.close()
	// What has little to do for most of a round is cold in more than its tokens.
	if _, err := cs.send(until(length/4, known)); err != nil {
		return err
	}
	var over time.Duration
	for range coldTurns {
		before, err := cs.cost(p, times(coldCount/coldTurns, known))
		if err != nil {
			return err
		}
		after, err := cs.cost(p, w.unseen(coldCount/coldTurns))
		if err != nil {
			return fmt.Errorf("new tokens: %w", err)
		}
		over += after - before
	}
	r.cold = append(r.cold, micros(over/coldTurns))
	return nil
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// measure loads p with the requests that next returns, and returns the CPU time
// that a request cost it; first is one that is not counted.
func measure(p *beside.Process, first []byte, next func() []byte) (time.Duration, error) {
	cs, err := dial(p.URL, clientCount, first)
	if err != nil {
		return 0, err
	}
	defer cs.close()
	return cs.cost(p, next)
}

// cost sends what next returns, and returns the CPU time that a request cost p.
func (cs clients) cost(p *beside.Process, next func() []byte) (time.Duration, error) {
	before, err := p.CPU()
	if err != nil {
		return 0, err
	}
	requests, err := cs.send(next)
	if err != nil {
		return 0, err
	}
	after, err := p.CPU()
	if err != nil {
		return 0, err
	}
	return (after - before) / time.Duration(requests), nil
}
