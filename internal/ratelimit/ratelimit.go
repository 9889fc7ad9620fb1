// Package ratelimit is the gate that refuses requests that come too often, or
// makes them wait for their turn.
//
// It stands behind authz, so that a limit can count by what a token says, and
// before the upstream call, so that a request it refuses costs nobody
// anything:
//
//	authn(authz(rateLimit( upstream call )))
//
// Buckets are the state and survive a reload; a Store is where several
// processes share theirs. A Limiter is one policy on its Buckets or its Store;
// routes that use the policy share them. A Gate is what stands before one
// route: all its limiters must let a request by, and when one refuses, nothing
// is spent on the others.
package ratelimit

import (
	"net/http"
	"time"

	"sidecar/internal/exchange"
)

// Limiter is one policy. It is safe for concurrent use.
type Limiter struct {
	name    string
	line    int
	shadow  bool   // clients are not told of a limit that does not bind them, and wait for nothing
	rate    string // as the policy file writes it; empty if it says none
	maxWait time.Duration
	// maxWaiting bounds those that wait for a turn that a store gave them.
	maxWaiting int64
	sources    sources
	buckets    *Buckets
	fields     fields
	remote     *remote // nil: this process counts by itself
	onFailure  string
	pass       *exchange.Decision
}

// New returns the policy called name. c must be valid, and but for its Line the
// Config that b was made for. store is the one that c names; nil where it names
// none.
func New(name string, c Config, b *Buckets, store *Store) *Limiter {
	rate, err := c.Rate.MarshalText()
	if err != nil { // it says none
		rate = nil
	}
	l := &Limiter{
		name:    name,
		line:    c.Line,
		shadow:  c.Mode == exchange.ModeShadow,
		rate:    string(rate),
		maxWait: c.maxWait(),

		maxWaiting: int64(c.maxWaiting()),
		sources:    newSources(c.Key),
		buckets:    b,
		fields:     newFields(name, c),
		onFailure:  c.onStoreFailure(),
		pass:       &exchange.Decision{Kind: exchange.RateLimit, Policy: name, Outcome: exchange.Pass, Line: c.Line},
	}
	if store != nil {
		l.remote = newRemote(name, c, store)
	}
	return l
}

// Gate is the limits of one route. It is safe for concurrent use.
type Gate struct {
	limiters []*Limiter
	order    []int // in which limiters are asked
}

// NewGate returns a Gate of ls, which are told of in their order. Those of this
// process are asked before those of a store, and last of all those whose store
// cannot give back.
func NewGate(ls ...*Limiter) *Gate {
	g := &Gate{limiters: ls}
	for cost := range 3 {
		for i, l := range ls {
			if l.cost() == cost {
				g.order = append(g.order, i)
			}
		}
	}
	return g
}

// cost says how late l is asked.
func (l *Limiter) cost() int {
	switch {
	case l.remote == nil:
		return 0
	case !l.remote.isService():
		return 1
	}
	return 2
}

// Check returns nil, and every limit has spent one request; or it returns a
// *exchange.Refusal from a limit that is spent, or whose store is away, and no
// limit has spent any, but one whose store cannot give back. A request that has
// to wait for its turn does so in here; if it leaves meanwhile, or is cut, the
// error says why, and it has spent nothing either. In all cases the answer gets
// RateLimit-Policy and RateLimit fields for the limits that were asked
// (draft-ietf-httpapi-ratelimit-headers-10). Check notes on the record what each
// limit that lets by did.
//
// A request that a later limit refuses holds its share of the earlier ones for
// an instant: another that comes just then may be refused.
func (g *Gate) Check(r *http.Request) error {
	// The usual numbers need no allocation, and most routes not even to clear
	// more than one.
	switch n := len(g.limiters); {
	case n == 1:
		var one [1]draw
		return g.check(r, one[:])
	case n <= 4:
		var few [4]draw
		return g.check(r, few[:n])
	default:
		return g.check(r, make([]draw, n))
	}
}

func (g *Gate) check(r *http.Request, draws []draw) error {
	record := exchange.From(r.Context())
	refused := -1
	for _, i := range g.order {
		d := &draws[i]
		d.begin(g.limiters[i], record, r)
		if refused >= 0 {
			d.look()
		} else if !d.take(record) {
			refused = i
		}
	}
	if refused >= 0 {
		endWait(draws)
		giveBack(draws)
		g.tell(record, draws)
		return refusal(draws, refused)
	}
	if err := wait(r.Context(), draws); err != nil {
		giveBack(draws)
		return err
	}
	g.tell(record, draws)
	for i := range draws {
		draws[i].note(record)
	}
	return nil
}

// tell puts the fields of all limits that were asked into the answer.
func (g *Gate) tell(record *exchange.Record, draws []draw) {
	for i, l := range g.limiters {
		switch {
		case l.shadow:
		case draws[i].known:
			l.fields.add(record, &draws[i].level)
		default:
			l.announce(record)
		}
	}
}

// Announce tells of the limits, for an answer that was made without asking
// them: whose bucket the request would draw from may not be known by then.
func (g *Gate) Announce(record *exchange.Record) {
	for _, l := range g.limiters {
		if !l.shadow {
			l.announce(record)
		}
	}
}

// announce tells of the limit, unless only a service knows it.
func (l *Limiter) announce(record *exchange.Record) {
	if l.remote == nil || !l.remote.isService() {
		l.fields.announce(record)
	}
}
