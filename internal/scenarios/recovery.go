package main

import (
	"fmt"
	"time"
)

// The upstream fails for a while and is well again: how soon all requests pass.
func recovers(w *world, r *report) error {
	const rate, ill, after = 200, 12 * time.Second, 8 * time.Second
	const longest = 4 * time.Second
	all, err := w.contenders(
		[2]string{"bare ReverseProxy", ""},
		[2]string{"sidecar, openFor {base: 1s, max: 4s}", `
upstreams: {app: {endpoints: [{url: "UPSTREAM"}]}}
defaults: {use: {circuitBreaker: {openFor: {base: 1s, max: 4s}}}}` + route},
	)
	if err != nil {
		return err
	}
	failed := map[*contender]*behaviour{}
	for _, c := range all {
		failed[c] = c.service.does(broken)
	}
	contend(load{rate: rate, length: ill + after, patience: 5 * time.Second}, all, behave(ill, well))

	r.say(`%d requests a second; each call fails for %v, and none after that. The breaker's time has grown to its longest by then.`, rate, ill)
	rows := [][]string{{"", "calls while it failed", "first success after", "all succeed after"}}
	var full time.Duration
	for _, c := range all {
		s := c.samples.between(ill, ill+after)
		var first time.Duration
		if good := s.good(); len(good) > 0 {
			first = good[0].due - ill
		}
		full = after // or it never is
		if bad := s.that(func(one sample) bool { return !one.good() }); len(bad) == 0 {
			full = 0
		} else if len(s.good()) > 0 {
			full = bad[len(bad)-1].due - ill
		}
		rows = append(rows, []string{c.name, fmt.Sprint(failed[c].calls.Load()), seconds(first), seconds(full)})
	}
	r.table(rows...)
	r.lateness(all)
	r.promise(failed[all[1]].calls.Load() < failed[all[0]].calls.Load()/10, "a failing upstream is left in peace: a tenth of the calls at most")
	r.promise(full < longest*12/10+500*time.Millisecond, "all requests pass %s after, within the longest openFor, its jitter and the probes", seconds(full))
	return nil
}
