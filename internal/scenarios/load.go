package main

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// load is an open loop: requests are due at a fixed rate, whatever becomes of
// those before, and each takes as long as it is from then to its answer. A
// closed loop would send fewer while the service is slow, and leave out of its
// figures just those that had to wait ("coordinated omission",
// https://github.com/giltene/wrk2#acknowledgements).
type load struct {
	url      string
	rate     int           // a second
	length   time.Duration // of the whole
	patience time.Duration // how long a client waits for its answer
}

// sample is what became of one request.
type sample struct {
	sent   time.Time
	due    time.Duration // since the load began
	late   time.Duration // that it was sent: the load's own part of took
	took   time.Duration
	status int  // 0: none
	ours   bool // the proxy itself has refused it
}

type samples []sample

// run sends the load, and returns what became of each request when the last one
// has ended.
func (l load) run() samples {
	transport := &http.Transport{MaxIdleConnsPerHost: 10_000, DisableCompression: true}
	defer transport.CloseIdleConnections()
	return l.over(transport)
}

func (l load) over(transport http.RoundTripper) samples {
	client := &http.Client{Transport: transport, Timeout: l.patience}
	all := make(samples, int(l.length.Seconds()*float64(l.rate)))
	var sending sync.WaitGroup
	start := time.Now()
	for i := range all {
		due := time.Duration(i) * time.Second / time.Duration(l.rate)
		time.Sleep(time.Until(start.Add(due)))
		sending.Go(func() {
			sent := time.Now()
			all[i] = send(client, l.url)
			all[i].sent, all[i].late = sent, sent.Sub(start)-due
			all[i].due, all[i].took = due, time.Since(start)-due
		})
	}
	sending.Wait()
	return all
}

func send(client *http.Client, url string) sample {
	resp, err := client.Get(url)
	if err != nil {
		return sample{}
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return sample{}
	}
	return sample{status: resp.StatusCode, ours: strings.HasPrefix(resp.Header.Get("Content-Type"), "application/problem+json")}
}

// that returns those for which keep holds.
func (s samples) that(keep func(sample) bool) samples {
	var kept samples
	for _, one := range s {
		if keep(one) {
			kept = append(kept, one)
		}
	}
	return kept
}

// between returns those that were due in a time since the load began.
func (s samples) between(from, to time.Duration) samples {
	return s.that(func(one sample) bool { return from <= one.due && one.due < to })
}

func (s samples) good() samples { return s.that(sample.good) }

func (one sample) good() bool { return one.status == http.StatusOK }

// refused returns those that the proxy itself has answered.
func (s samples) refused() samples { return s.that(func(one sample) bool { return one.ours }) }

// quantile returns the time that a share of s took at most.
func (s samples) quantile(share float64) time.Duration {
	return s.quantileOf(share, func(one sample) time.Duration { return one.took })
}

func (s samples) quantileOf(share float64, of func(sample) time.Duration) time.Duration {
	if len(s) == 0 {
		return 0
	}
	times := make([]time.Duration, len(s))
	for i, one := range s {
		times[i] = of(one)
	}
	slices.Sort(times)
	return times[min(len(times)-1, int(share*float64(len(times))))]
}
