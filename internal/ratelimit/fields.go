package ratelimit

import (
	"strconv"
	"strings"

	"github.com/dunglas/httpsfv"

	"sidecar/internal/exchange"
)

// fields writes what a client is told of a limit
// (draft-ietf-httpapi-ratelimit-headers-10).
type fields struct {
	policy string // RateLimit-Policy; always the same
	limit  string // RateLimit, without its parameters
}

// The field names, as net/http spells them.
const (
	policyField = "Ratelimit-Policy"
	limitField  = "Ratelimit"
)

func newFields(name string, l limit) fields {
	item := httpsfv.NewItem(asciiName(name))
	limit := marshal(item)
	item.Params.Add("q", l.full/l.interval)
	item.Params.Add("w", seconds(l.full))
	return fields{policy: marshal(item), limit: limit}
}

func marshal(item httpsfv.Item) string {
	text, err := httpsfv.Marshal(httpsfv.List{item})
	if err != nil { // an ASCII string and small integers always marshal
		return ""
	}
	return text
}

// asciiName returns name as a structured field's string can hold it (RFC 9651
// section 3.3.3).
func asciiName(name string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '_'
		}
		return r
	}, name)
}

// add tells of a bucket that is as full as at. The draft's t is when the quota
// is back: that is when the bucket is full or, if it is empty, when the next
// request passes. So Retry-After is never earlier than t when r is 0.
func (f fields) add(record *exchange.Record, at level) {
	reset := at.full
	if at.remaining == 0 {
		reset = at.wait
	}
	record.AddHeader(policyField, f.policy)
	record.AddHeader(limitField, f.member(at.remaining, wholeSeconds(reset)))
}

// member returns the RateLimit member. Its parameters are two integers, which
// are their own serialization (RFC 9651 section 4.1.4): the library would take
// twenty allocations for them on every request.
func (f fields) member(r, t int64) string {
	b := make([]byte, 0, 64)
	b = append(b, f.limit...)
	b = strconv.AppendInt(append(b, ";r="...), r, 10)
	b = strconv.AppendInt(append(b, ";t="...), t, 10)
	return string(b)
}
