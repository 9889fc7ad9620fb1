package main

import (
	"fmt"
	"time"
)

// The upstream takes calls and answers none: how soon clients hear of it, and
// what waits meanwhile.
func hangs(w *world, r *report) error {
	const rate, healthy, ill, timeout = 200, 3 * time.Second, 15 * time.Second, time.Second
	all, err := w.contenders(
		[2]string{"bare ReverseProxy", ""},
		[2]string{"sidecar, a timeout of 1 s", `
upstreams: {app: {endpoints: [{url: "UPSTREAM"}]}}
defaults: {timeout: 1s}` + route},
	)
	if err != nil {
		return err
	}
	const open = healthy + 4*time.Second // by then the breaker has been so for long
	const look = 3 * time.Second
	for i := range all { // in turn: clients that wait by the thousand would be in the figures of the others
		contend(load{rate: rate, length: healthy + ill, patience: 5 * time.Second}, all[i:i+1],
			behave(healthy, hanging),
			turn{open, func(c *contender) { c.watch(look) }},
			turn{healthy + ill - look, func(c *contender) { c.watch(look) }})
	}

	r.say(`%d requests a second; after %v the upstream answers none of them, for %v. Clients wait 5 s, then leave.
		Figures are those from 4 s after that on, when the breaker has opened: it lets a few probes by each time. What the
		process has is told for the first 3 s of them and for the last.`, rate, healthy, ill)
	rows := [][]string{{"", "requests", "refused at once", "p50 of those", "p99 of those", "waited in vain", "goroutines", "memory"}}
	var refused samples
	for _, c := range all {
		s := c.samples.between(open, healthy+ill)
		refused = s.that(func(one sample) bool { return one.ours && one.status == 503 })
		rows = append(rows, []string{
			c.name, fmt.Sprint(len(s)), percent(len(refused), len(s)), refused.millis(0.5), refused.millis(0.99),
			percent(len(s)-len(refused), len(s)), fmt.Sprintf("%d, %d", c.levels[0].goroutines, c.levels[1].goroutines),
			fmt.Sprintf("%s, %s", mib(c.levels[0].memory), mib(c.levels[1].memory)),
		})
	}
	r.table(rows...)
	r.lateness(all)
	sidecar := all[1]
	s := sidecar.samples.between(open, healthy+ill)
	r.promise(len(refused) > len(s)*9/10, "nine of ten requests are refused without a wait, got %s", percent(len(refused), len(s)))
	r.told(refused.quantile(0.99) < 5*time.Millisecond, "99 %% of refusals take less than 5 ms, got %s", refused.millis(0.99))
	first, last := sidecar.levels[0], sidecar.levels[1]
	r.promise(last.goroutines <= first.goroutines+50, "goroutines are flat: %d, then %d", first.goroutines, last.goroutines)
	r.promise(last.memory <= first.memory+32<<20, "memory is flat: %s, then %s", mib(first.memory), mib(last.memory))
	return nil
}
