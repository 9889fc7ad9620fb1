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
	policy string // RateLimit-Policy; empty where only a service knows the limit
	limit  string // RateLimit, without its parameters
	texts  *texts
}

// The field names, as net/http spells them.
const (
	policyField = "Ratelimit-Policy"
	limitField  = "Ratelimit"
)

func newFields(name string, c Config) fields {
	item := httpsfv.NewItem(asciiName(name))
	f := fields{limit: marshal(item), texts: new(texts)}
	if c.Rate.Count > 0 {
		quota, window := c.quota()
		item.Params.Add("q", quota)
		item.Params.Add("w", seconds(window))
		f.policy = marshal(item)
	}
	return f
}

// quota returns how many requests may pass, and in how many nanoseconds they
// are back.
func (c *Config) quota() (quota, window int64) {
	if c.Algorithm == SlidingWindow {
		return int64(c.Rate.Count), int64(c.Rate.Per)
	}
	l := newLimit(*c)
	return l.full / l.interval, l.full
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
func (f *fields) add(record *exchange.Record, at *level) {
	reset := at.full
	if at.remaining == 0 {
		reset = at.wait
	}
	if at.quota > 0 {
		record.AddHeader(policyField, f.member(";q=", at.quota, ";w=", wholeSeconds(at.window)))
	} else {
		f.announce(record)
	}
	record.AddHeader(limitField, f.texts.field(f, at.remaining, wholeSeconds(reset)))
}

// announce tells of the limit, and nothing of a bucket.
func (f *fields) announce(record *exchange.Record) {
	if f.policy != "" {
		record.AddHeader(policyField, f.policy)
	}
}

// member returns a member with two parameters. They are integers, which are
// their own serialization (RFC 9651 section 4.1.4): the library would take
// twenty allocations for them on every request.
func (f *fields) member(first string, a int64, second string, b int64) string {
	text := make([]byte, 0, 64)
	text = append(text, f.limit...)
	text = strconv.AppendInt(append(text, first...), a, 10)
	text = strconv.AppendInt(append(text, second...), b, 10)
	return string(text)
}
