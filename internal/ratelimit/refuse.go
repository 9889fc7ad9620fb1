package ratelimit

import (
	"fmt"
	"net/http"
	"strconv"

	"sidecar/internal/exchange"
)

// refusal is that of the limit number refused. It tells the client which limits
// are spent, and when every limit of the route would let it by again: sooner
// would only mean to be refused by the next.
func refusal(draws []draw, refused int) *exchange.Refusal {
	d := &draws[refused]
	if d.err != nil && d.onFailure == Deny {
		return d.unavailable()
	}
	longest, spent := int64(0), []string(nil)
	for i := range draws {
		if level := &draws[i].level; i == refused || draws[i].known && level.wait > 0 {
			longest, spent = max(longest, level.wait), append(spent, asciiName(draws[i].name))
		}
	}
	after := seconds(longest)
	f := &exchange.Refusal{
		Kind:   exchange.RateLimit,
		Policy: d.name,
		Reason: exchange.RateLimited,
		Detail: fmt.Sprintf("%s is spent; the next request passes in %d s", d.limitName(), after),
		Line:   d.line,
		// As the RateLimit-Policy field calls them
		// (draft-ietf-httpapi-ratelimit-headers-10, "Quota Exceeded").
		Spent:  spent,
		Header: http.Header{"Retry-After": {strconv.FormatInt(after, 10)}},
	}
	if d.by != "" {
		f.Note = f.Detail + ", counted by " + d.by
	}
	return f
}

// limitName returns how the client is told of the limit.
func (d *draw) limitName() string {
	if d.rate == "" || d.level.quota > 0 {
		return "the limit"
	}
	return d.rate
}

// unavailable is the refusal of a request that no store was there to count.
func (d *draw) unavailable() *exchange.Refusal {
	return &exchange.Refusal{
		Kind: exchange.RateLimit, Policy: d.name, Reason: exchange.StoreUnavailable, Line: d.line,
		Note: d.err.Error(), Header: http.Header{"Retry-After": {"1"}},
	}
}
