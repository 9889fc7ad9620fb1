package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// vectors are the metrics that have a route label.
type vectors struct {
	requests    *prometheus.CounterVec
	duration    *prometheus.HistogramVec
	attempts    *prometheus.CounterVec
	attemptTook *prometheus.HistogramVec
	decisions   *prometheus.CounterVec
	rules       *prometheus.CounterVec
	retries     *prometheus.CounterVec
	budgetSpent *prometheus.CounterVec
	hedges      *prometheus.CounterVec
	bodies      *prometheus.CounterVec
	faults      *prometheus.CounterVec
}

func newVectors() vectors {
	return vectors{
		requests: counters("http_requests_total",
			"Requests by the status told to the client; 499 is a client that left.",
			"route", "method", "code"),
		duration: seconds("http_request_duration_seconds",
			"From the request's head to the last byte of the answer.",
			"route", "method"),
		attempts: counters("upstream_requests_total",
			"Upstream calls by status or kind of failure, injected ones included; cancelled is one that another overtook, replayed one that net/http wrote again by itself.",
			"route", "upstream", "code"),
		attemptTook: seconds("upstream_request_duration_seconds",
			"From the start of an upstream call to its response headers or its failure.",
			"route", "upstream"),
		decisions: counters("policy_decisions_total",
			"Decisions of policies by outcome: pass, refuse, act, shadow or broken.",
			"route", "kind", "policy", "outcome", "reason"),
		rules: counters("authz_rule_decisions_total",
			"Decisions of authz policies by the rule that made them; rule is empty where none matched.",
			"route", "policy", "rule", "outcome"),
		retries: counters("retries_total",
			"Upstream calls that were repeated, by the reason.",
			"route", "reason"),
		budgetSpent: counters("retry_budget_exhausted_total",
			"Upstream calls that were not repeated, or not hedged, because the upstream's retry budget was spent.",
			"route"),
		hedges: counters("hedges_total",
			"Attempts begun beside one that did not answer: won, whose answer the client got, or lost.",
			"route", "policy", "outcome"),
		bodies: counters("retry_bodies_not_replayable_total",
			"Upstream calls that were not repeated because their body is larger than maxBufferedBody, or was not read to its end.",
			"route", "policy"),
		faults: counters("faults_injected_total",
			"Faults injected on purpose, by what they did.",
			"route", "fault", "type"),
	}
}

// vector is what a CounterVec and a HistogramVec have in common.
type vector interface {
	prometheus.Collector
	DeletePartialMatch(prometheus.Labels) int
}

func (v *vectors) all() []vector {
	return []vector{
		v.requests, v.duration, v.attempts, v.attemptTook,
		v.decisions, v.rules, v.retries, v.budgetSpent, v.hedges, v.bodies, v.faults,
	}
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
}

// seconds has buckets for those who scrape text, and a native histogram,
// finer and cheaper to store, for those who scrape protobuf.
func seconds(name, help string, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: namespace, Name: name, Help: help,
		Buckets:                         []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		NativeHistogramBucketFactor:     1.1,
		NativeHistogramMaxBucketNumber:  160,
		NativeHistogramMinResetDuration: time.Hour,
	}, labels)
}
