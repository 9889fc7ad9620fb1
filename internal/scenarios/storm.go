package main

import (
	"fmt"
	"time"

	"sidecar/internal/beside"
)

// Two proxies in a row repeat what fails: how many calls a request becomes.
func storms(w *world, r *report) error {
	const rate, ill = 150, 10 * time.Second
	const budgets = `
upstreams: {app: {endpoints: [{url: "UPSTREAM"}]}}
defaults: {use: {circuitBreaker: none}}` + route
	const defaults = `upstreams: {app: {endpoints: [{url: "UPSTREAM"}]}}` + route
	bare := func(url string) (*beside.Process, error) { return w.bare(url) }
	repeating := func(url string) (*beside.Process, error) { return w.bare("-repeat", url) }
	under := func(policy string) func(url string) (*beside.Process, error) {
		return func(url string) (*beside.Process, error) { return w.sidecar(url, policy) }
	}
	var all []*contender
	for _, kind := range []struct {
		name  string
		start func(url string) (*beside.Process, error)
	}{
		{"two bare ReverseProxies", bare},
		{"two of them with three attempts each", repeating},
		{"two sidecars, three attempts, no breaker", under(budgets)},
		{"two sidecars, defaults", under(defaults)},
	} {
		s, err := w.service()
		if err != nil {
			return err
		}
		second, err := kind.start(s.url)
		if err != nil {
			return err
		}
		first, err := kind.start(second.URL)
		if err != nil {
			return err
		}
		all = append(all, &contender{name: kind.name, proxy: first, service: s})
	}
	contend(load{rate: rate, length: ill, patience: 5 * time.Second}, all, behave(0, broken))

	r.say(`%d requests a second pass two proxies in a row; each call fails with 503, for %v.`, rate, ill)
	rows := [][]string{{"", "requests", "calls of the upstream", "calls for a request"}}
	for _, c := range all {
		s := c.samples
		rows = append(rows, []string{c.name, fmt.Sprint(len(s)), fmt.Sprint(c.phase.calls.Load()), fmt.Sprintf("%.2f", c.amplified())})
	}
	r.table(rows...)
	r.lateness(all)
	first := amplification(rate, ill, 0.2)
	most := first * amplification(rate*first, ill, 0.2)
	r.promise(all[2].amplified() <= most, "budgets multiply, attempts do not: %.2f calls for a request, %.2f at most", all[2].amplified(), most)
	r.promise(all[3].amplified() < 0.3, "with breakers few calls are made at all: %.2f for a request", all[3].amplified())
	return nil
}
