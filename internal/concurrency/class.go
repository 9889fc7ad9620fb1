package concurrency

import (
	"net/http"
	"slices"

	"sidecar/internal/exchange"
)

// normalClass is the class of a request that no other is named for. It is shed
// last.
const normalClass = "normal"

// normal is the place of normalClass among the classes; those that are shed
// before it follow, the first of them last.
const normal = 0

// classifier says which class a request is of: 0 is normal, and the higher, the
// sooner it is shed.
type classifier struct {
	header, claim string
	names         []string // of the classes from 1 on
}

func newClassifier(p *Priority) classifier {
	if p == nil {
		return classifier{}
	}
	names := slices.Clone(p.ShedFirst)
	slices.Reverse(names)
	return classifier{header: http.CanonicalHeaderKey(p.Header), claim: p.Claim, names: names}
}

func (c classifier) of(rec *exchange.Record, r *http.Request) int {
	said := ""
	switch {
	case c.claim != "":
		if p := rec.Principal(); p != nil {
			claim, _ := p.Claim(c.claim)
			said, _ = exchange.Text(claim)
		}
	case c.header != "":
		// The client's own: ours may have been added to, and a forwarded
		// request has fields taken away.
		if said = rec.RequestHeader.Get(c.header); rec.RequestHeader == nil {
			said = exchange.HeaderOf(r).Get(c.header)
		}
	}
	return slices.Index(c.names, said) + 1
}

// classNames returns the names of all classes, by their places.
func classNames(p *Priority) []string {
	return append([]string{normalClass}, newClassifier(p).names...)
}
