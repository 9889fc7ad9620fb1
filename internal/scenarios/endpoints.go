package main

import (
	"strings"
	"time"
)

// One of three endpoints takes a second for each call, and is gone then.
func oneOfThree(w *world, r *report) error {
	const rate, healthy, half = 200, 4 * time.Second, 8 * time.Second
	const length = healthy + 2*half
	var all []*contender
	sick := map[*contender]*service{}
	for _, name := range []string{"bare ReverseProxy, in turn", "sidecar"} {
		c, one, err := w.ofThree(name, len(all) == 0)
		if err != nil {
			return err
		}
		sick[c], all = one, append(all, c)
	}
	contend(load{rate: rate, length: length, patience: 5 * time.Second}, all,
		turn{healthy, func(c *contender) { sick[c].does(slow(time.Second)) }},
		turn{healthy + half, func(c *contender) { sick[c].dies() }})

	r.say(`%d requests a second to three endpoints that take 5 ms. After %v one of them takes 1 s, and after %v more it resets its
		connections and takes no others.`, rate, healthy, half)
	r.table(bySpan(all, span{"all are well", time.Second, healthy}, span{"one is slow", healthy, healthy + half}, span{"one is dead", healthy + half, length})...)
	r.lateness(all)
	s := all[1].samples.between(healthy, length)
	r.promise(len(s) == len(s.good()), "behind the sidecar no request fails of it, got %d of %d", len(s)-len(s.good()), len(s))
	later := all[1].samples.between(healthy+2*time.Second, healthy+half)
	r.told(later.quantile(0.99) < 100*time.Millisecond, "2 s after it became slow, 99 %% of requests do not notice, got %s", later.millis(0.99))
	return nil
}

// ofThree starts a proxy to three services, and returns one of these.
func (w *world) ofThree(name string, bare bool) (c *contender, one *service, err error) {
	var urls []string
	for range 3 {
		if one, err = w.service(); err != nil {
			return nil, nil, err
		}
		one.does(slow(5 * time.Millisecond))
		urls = append(urls, one.url)
	}
	c = &contender{name: name}
	if bare {
		c.proxy, err = w.bare(urls...)
		return c, one, err
	}
	c.proxy, err = w.sidecar(`{url: "`+strings.Join(urls, `"}, {url: "`)+`"}`, `
upstreams:
  app:
    endpoints: [UPSTREAM]
    balance: leastRequest
    health: {path: /healthz, interval: 500ms, timeout: 200ms, unhealthyAfter: 2, healthyAfter: 2}
    outlier: {consecutiveFailures: 5, ejectFor: {base: 10s, max: 5m}, maxEjectedPercent: 50}
defaults: {use: {circuitBreaker: none}}`+route)
	return c, one, err
}
