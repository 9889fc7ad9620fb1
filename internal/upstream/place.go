package upstream

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"sidecar/internal/exchange"
)

// place is an endpoint of the policy, and the endpoints that it has become: one,
// or each address of its name.
type place struct {
	at     *url.URL
	label  string
	weight int
	name   string // that is looked up; empty: none

	// The mutex of its Upstream guards these.
	endpoints []*endpoint
	known     bool   // an answer has come
	failing   string // why the last look-up failed; empty when it did not
}

// newPlace returns the place of e: one endpoint, to which a name leads by
// itself as long as nobody has looked it up. Nobody knows u yet.
func (u *Upstream) newPlace(e Endpoint) *place {
	at, err := url.Parse(e.URL)
	if err != nil { // Validate has refused it
		at = &url.URL{Scheme: "http", Host: e.URL}
	}
	p := &place{at: at, label: hostPort(e.URL), weight: e.Weight}
	if u.config.follows(e) {
		p.name = at.Hostname()
	}
	p.endpoints = []*endpoint{u.newEndpoint(at, p.label, p.weight, u.transports)}
	return p
}

// unresolved notes that the name of p cannot be looked up. What was known of it
// is not forgotten: whoever answers nothing has not said that nobody is there.
// u.mu is held.
func (u *Upstream) unresolved(p *place, err error) {
	first := p.failing == ""
	p.failing = exchange.Unquoted(err)
	if first {
		u.note(exchange.Event{Name: u.name + "/" + p.label, From: p.state(), To: "unresolved", Detail: p.failing, Bad: true})
	}
}

// state returns how many addresses p has, in words.
func (p *place) state() string {
	switch {
	case !p.known:
		return ""
	case len(p.endpoints) == 1:
		return "1 address"
	}
	return fmt.Sprintf("%d addresses", len(p.endpoints))
}

// resolved makes those called labels the endpoints of p, and reports whether that changes
// anything. Those that there are go on; those that are gone end with their
// calls. u.mu is held.
func (u *Upstream) resolved(p *place, labels []string, now time.Time) bool {
	from := p.state()
	if p.failing != "" {
		from = "unresolved"
	}
	before := p.endpoints
	joined := u.join(p, labels, now)
	var left []string
	for _, e := range before {
		if !slices.Contains(p.endpoints, e) {
			left = append(left, e.label)
			u.leave(e)
		}
	}
	p.known, p.failing = true, ""
	u.gather()
	for _, e := range p.endpoints {
		u.watch(e)
	}
	changed := len(joined)+len(left) > 0
	if changed || from == "unresolved" {
		u.note(exchange.Event{Name: u.name + "/" + p.label, From: from, To: p.state(), Detail: moved(joined, left)})
	}
	return changed
}

// join gives p an endpoint for each of labels, and returns the new ones. Those of
// the first answer are new to nobody: they have their full share. u.mu is held.
func (u *Upstream) join(p *place, labels []string, now time.Time) (joined []string) {
	before := p.endpoints
	p.endpoints = nil
	for _, label := range labels {
		e, isNew := u.at(p, label, before)
		if e == nil {
			continue // another place of this upstream
		}
		p.endpoints = append(p.endpoints, e)
		if isNew {
			joined = append(joined, label)
		}
		if isNew && p.known {
			u.ramp(e, now)
		}
	}
	return joined
}

func (p *place) port() uint16 {
	_, text, _ := net.SplitHostPort(p.label)
	port, _ := strconv.ParseUint(text, 10, 16) // Validate knows it to be one
	return uint16(port)
}

// at returns the endpoint of p with that label: the one that is there, one that
// has not quite left, or a new one; nil if it is another place's.
func (u *Upstream) at(p *place, label string, before []*endpoint) (e *endpoint, isNew bool) {
	has := func(e *endpoint) bool { return e.label == label }
	if i := slices.IndexFunc(before, has); i >= 0 {
		return before[i], false
	}
	if slices.ContainsFunc(u.endpoints, has) {
		return nil, false
	}
	if i := slices.IndexFunc(u.leaving, has); i >= 0 && u.leaving[i].host == p.at.Host && u.leaving[i].scheme == p.at.Scheme {
		e = u.leaving[i]
		u.leaving = slices.Delete(u.leaving, i, i+1)
		e.beginAnew()
		return e, true
	}
	ts := u.transports
	if label != p.label {
		ts = &transports{config: ts.config, tls: ts.tls, to: label, dialTCP: ts.dialTCP}
	}
	return u.newEndpoint(p.at, label, p.weight, ts), true
}

// leave has e end with its calls. u.mu is held.
func (u *Upstream) leave(e *endpoint) {
	e.retire()
	u.leaving = slices.DeleteFunc(append(u.leaving, e), func(e *endpoint) bool { return e.inFlight.Load() == 0 })
}

// gather makes one list of the endpoints of all places. u.mu is held, or nobody
// knows u yet.
func (u *Upstream) gather() {
	u.endpoints = nil
	for _, p := range u.places {
		u.endpoints = append(u.endpoints, p.endpoints...)
	}
}

func moved(joined, left []string) string {
	var parts []string
	for _, m := range []struct {
		word   string
		labels []string
	}{{"joined: ", joined}, {"left: ", left}} {
		if n := len(m.labels); n > 0 {
			parts = append(parts, m.word+strings.Join(m.labels[:min(n, 10)], ", "))
		}
	}
	return strings.Join(parts, "; ")
}
