package main

import (
	"fmt"
	"time"
)

// Clients ask for three times what the upstream can do, and wait a second each.
func overloaded(w *world, r *report) error {
	const workers, each, patience = 8, 80 * time.Millisecond, time.Second
	const rate = 3 * int(workers*time.Second/each)
	const warm, length = 8 * time.Second, 20 * time.Second
	all, err := w.contenders(
		[2]string{"bare ReverseProxy", ""},
		[2]string{"sidecar without concurrency", `
upstreams: {app: {endpoints: [{url: "UPSTREAM"}]}}
defaults: {timeout: 1s, use: {circuitBreaker: none, retry: none}}` + route},
		[2]string{"sidecar, concurrency adaptive", `
upstreams: {app: {endpoints: [{url: "UPSTREAM"}]}}
policies: {concurrency: {adaptive: {algorithm: gradient, min: 4, max: 200}}}
defaults: {timeout: 1s, use: {concurrency: adaptive, circuitBreaker: none, retry: none}}` + route},
	)
	if err != nil {
		return err
	}
	crews, did := map[*contender]*crew{}, int64(0)
	for _, c := range all {
		crews[c] = &crew{line: newLine(workers), each: each}
		c.service.does(crews[c].serve)
	}
	// The service behind the bare proxy is never without work: what it does is
	// what a service can do, here and now.
	count := func(sign int64) func(c *contender) {
		return func(c *contender) {
			if c == all[0] {
				did += sign * crews[c].done.Load()
			}
		}
	}
	contend(load{rate: rate, length: length, patience: patience}, all, turn{warm, count(-1)}, turn{length, count(1)})

	capacity := float64(did) / (length - warm).Seconds()
	r.say(`An upstream of %d workers that take %v for each call: %.0f a second, as measured. %d requests a second come, for %v, and
		each client waits %v. Calls wait in line, and are worked on also when their client has left, as most services do.
		Figures are those after the first %v.`, workers, each, capacity, rate, length, patience, warm)
	rows := [][]string{{"", "goodput", "of capacity", "p50 of it", "p99 of it", "refused at once", "failed or waited in vain"}}
	share := map[*contender]float64{}
	for _, c := range all {
		s := c.samples.between(warm, length)
		good, refused := s.good(), s.refused().that(func(one sample) bool { return one.status == 503 })
		goodput := float64(len(good)) / (length - warm).Seconds()
		share[c] = goodput / capacity
		rows = append(rows, []string{
			c.name, fmt.Sprintf("%.0f/s", goodput), fmt.Sprintf("%.0f %%", 100*share[c]),
			good.millis(0.5), good.millis(0.99), percent(len(refused), len(s)),
			percent(len(s)-len(good)-len(refused), len(s)),
		})
	}
	r.table(rows...)
	r.lateness(all)
	r.promise(share[all[2]] > 0.85, "with the adaptive limit goodput stays above 85 %% of capacity, got %.0f %%", 100*share[all[2]])
	r.told(share[all[0]] < 0.5, "without any limit it collapses: %.0f %%", 100*share[all[0]])
	return nil
}
