package metrics

import (
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"sidecar/internal/exchange"
)

// passing counts the exchanges of a route that every policy let pass: one number
// for all that the policies said, which are told apart when somebody scrapes.
type passing struct {
	known memo[exchange.Passes, *tally]

	mu   sync.Mutex // guards all below
	kept []*tally   // those of known, and some that are just not any more
	past []*tally   // of the policies before; an exchange may just be counting there
}

// tally is how many exchanges there were of one kind, since it was settled last.
type tally struct {
	n    atomic.Uint64
	said []prometheus.Counter
}

// begin makes the tally of all, whose series are among decisions.
func (p *passing) begin(all exchange.Passes, decisions *memo[decision, []prometheus.Counter]) *tally {
	t := &tally{}
	for _, d := range all {
		if d != nil {
			t.said = append(t.said, decisions.get(keyOf(d))...)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kept = append(p.kept, t)
	return t
}

func keyOf(d *exchange.Decision) decision {
	return decision{d.Kind, d.Policy, d.Outcome, d.Reason, d.Rule}
}

// settle adds what was counted to the series.
func (t *tally) settle() {
	n := float64(t.n.Swap(0))
	for _, c := range t.said {
		c.Add(n)
	}
}

// maxTallies bounds the kinds: policies of a route that have many rules each let
// pass in as many ways as there are combinations, and clients choose which.
const maxTallies = 500

// count counts an exchange of which all that was said is all, if its kind has a
// tally.
func (p *passing) count(all exchange.Passes) bool {
	t := p.known.get(all)
	if t != nil {
		t.n.Add(1)
	}
	return t != nil
}

// settle adds what was counted to the series.
func (p *passing) settle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range p.past {
		t.settle()
	}
	for _, t := range p.kept {
		t.settle()
	}
}

// turn forgets what the policies said: those that hold from now on say it anew.
func (p *passing) turn() {
	p.settle()
	p.mu.Lock()
	p.past, p.kept = p.kept, nil
	p.mu.Unlock()
	p.known.retain(func(exchange.Passes) bool { return false }, func(exchange.Passes) {})
}

// settledBefore is a vector that somebody has to settle before it is read.
type settledBefore struct {
	vector
	settle func()
}

// Collect implements prometheus.Collector.
func (c settledBefore) Collect(ch chan<- prometheus.Metric) {
	c.settle()
	c.vector.Collect(ch)
}
