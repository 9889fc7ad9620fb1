package main

import (
	"fmt"
	"time"
)

const route = `
routes: [{name: all, match: {pathPrefix: /}, upstream: app}]
`

// Half of the calls fail for 20 s: what clients see of it, and what it costs
// the upstream.
func halfFails(w *world, r *report) error {
	const rate, budget, ill = 150, 20, 20 * time.Second
	const retries = `
upstreams: {app: {endpoints: [{url: "UPSTREAM"}], retryBudget: {percent: %d}}}
defaults: {use: {circuitBreaker: none}}` + route
	all, err := w.contenders(
		[2]string{"bare ReverseProxy", ""},
		[2]string{"sidecar, a retry budget of 20 %", fmt.Sprintf(retries, budget)},
		[2]string{"sidecar, a retry budget of 100 %", fmt.Sprintf(retries, 100)},
		[2]string{"sidecar, defaults: a breaker as well", `upstreams: {app: {endpoints: [{url: "UPSTREAM"}]}}` + route},
	)
	if err != nil {
		return err
	}
	contend(load{rate: rate, length: ill, patience: 5 * time.Second}, all, behave(0, failing(0.5)))

	r.say(`%d requests a second; each call fails with 503 by a chance of 50 %%, for %v.
		Retries are three attempts at most (the default), within their budget and 5 a second besides.
		The last row is what a three-line policy gives: half of the calls failing is just where the default breaker opens, so that chance decides whether it does.`, rate, ill)
	rows := [][]string{{"", "requests", "success", "refused by the sidecar", "p50", "p99", "calls for a request"}}
	for _, c := range all {
		s := c.samples
		rows = append(rows, []string{
			c.name, fmt.Sprint(len(s)), percent(len(s.good()), len(s)), percent(len(s.refused()), len(s)),
			s.millis(0.5), s.millis(0.99), fmt.Sprintf("%.2f", c.amplified()),
		})
	}
	r.table(rows...)
	r.lateness(all)
	success := func(c *contender) float64 {
		s := c.samples
		return float64(len(s.good())) / float64(len(s))
	}
	for i, percent := range []int{budget, 100, budget} {
		i++ // after the bare one
		most := amplification(rate, ill, float64(percent)/100)
		r.promise(all[i].amplified() <= most, "%s: %.2f calls for a request, %.2f at most", all[i].name, all[i].amplified(), most)
	}
	r.promise(success(all[1]) > success(all[0])+0.05, "within 20 %% of calls more, more clients succeed than without")
	r.promise(success(all[2]) > 0.8, "with budget for it, three attempts hide most of it: 1 - 0.5³ is 87.5 %%")
	return nil
}

// amplification returns how many calls a request is at most where so many come
// in a second, for d, and this share of them may be repeated: 5 a second besides
// (the default), of which there may be a window of 10 s at once.
func amplification(rate float64, d time.Duration, share float64) float64 {
	const besides, window = 5, 10
	return 1 + share + besides*(d.Seconds()+window)/(rate*d.Seconds())
}
