// Package ratelimit is the gate that refuses requests that come too often.
//
// It stands behind authz, so that a limit can count by what a token says, and
// before the upstream call, so that a request it refuses costs nobody
// anything:
//
//	authn(authz(rateLimit( upstream call )))
//
// Buckets are the state and survive a reload. A Limiter is one policy on its
// Buckets; routes that use the policy share them. A Gate is what stands before
// one route: all its limiters must let a request by, and when one refuses,
// nothing is spent on the others.
package ratelimit

import (
	"fmt"
	"net/http"
	"strconv"

	"sidecar/internal/exchange"
)

// Limiter is one policy. It is safe for concurrent use.
type Limiter struct {
	name    string
	line    int
	shadow  bool   // clients are not told of a limit that does not bind them
	rate    string // as the policy file writes it
	sources sources
	buckets *Buckets
	fields  fields
}

// New returns the policy called name. c must be valid, and but for its Line the
// Config that b was made for.
func New(name string, c Config, b *Buckets) *Limiter {
	rate, err := c.Rate.MarshalText()
	if err != nil { // no Config from a policy file
		rate = nil
	}
	return &Limiter{
		name:    name,
		line:    c.Line,
		shadow:  c.Mode == exchange.ModeShadow,
		rate:    string(rate),
		sources: newSources(c.Key),
		buckets: b,
		fields:  newFields(name, b.limit),
	}
}

// Gate is the limits of one route. It is safe for concurrent use.
type Gate struct{ limiters []*Limiter }

// NewGate returns a Gate of ls, which are asked in their order.
func NewGate(ls ...*Limiter) *Gate { return &Gate{limiters: ls} }

// Check returns nil, and every limit has spent one request; or it returns a
// *exchange.Refusal from the first limit that is spent, and no limit has spent
// any. In both cases the answer gets RateLimit-Policy and RateLimit fields for
// each limit (draft-ietf-httpapi-ratelimit-headers-10).
//
// A request that a later limit refuses holds its share of the earlier ones for
// an instant: another that comes just then may be refused.
func (g *Gate) Check(r *http.Request) error {
	record := exchange.From(r.Context())
	var few [4]draw // the usual number needs no allocation
	draws := few[:0]
	refused := -1
	for i, l := range g.limiters {
		d := l.draw(record, r)
		if refused >= 0 {
			d.look()
		} else if !d.take() {
			refused = i
		}
		draws = append(draws, d)
	}
	for i := range refused {
		draws[i].giveBack()
	}
	var longest int64
	var spent []string
	for i, l := range g.limiters {
		level := draws[i].level()
		longest = max(longest, level.wait)
		if refused >= 0 && level.wait > 0 {
			spent = append(spent, asciiName(l.name))
		}
		if !l.shadow {
			l.fields.add(record, level)
		}
	}
	if refused < 0 {
		return nil
	}
	return g.limiters[refused].refuse(draws[refused].by, seconds(longest), spent)
}

// Announce tells of the limits, for an answer that was made without asking
// them: whose bucket the request would draw from may not be known by then.
func (g *Gate) Announce(record *exchange.Record) {
	for _, l := range g.limiters {
		if !l.shadow {
			record.AddHeader(policyField, l.fields.policy)
		}
	}
}

// refuse tells the client which limits are spent, and when every limit of the route would let it by again:
// sooner would only mean to be refused by the next.
func (l *Limiter) refuse(by string, after int64, spent []string) *exchange.Refusal {
	f := &exchange.Refusal{
		Kind:   exchange.RateLimit,
		Policy: l.name,
		Reason: exchange.RateLimited,
		Detail: fmt.Sprintf("%s is spent; the next request passes in %d s", l.rate, after),
		Line:   l.line,
		// As the RateLimit-Policy field calls them
		// (draft-ietf-httpapi-ratelimit-headers-10, "Quota Exceeded").
		Spent:  spent,
		Header: http.Header{"Retry-After": {strconv.FormatInt(after, 10)}},
	}
	if by != "" {
		f.Note = f.Detail + ", counted by " + by
	}
	return f
}
