package main

import (
	"sidecar/internal/authz"
	"sidecar/internal/concurrency"
	"sidecar/internal/metrics"
	"sidecar/internal/ratelimit"
	"sidecar/internal/upstream"
)

// levels reads what metrics tell of the present.
func (s *sidecar) levels() metrics.Levels {
	var l metrics.Levels
	snapshot := s.proxy.Snapshot()
	l.PolicyHash = snapshot.File().Hash()
	for _, b := range snapshot.Breakers() {
		if st := b.Status(); !st.Shadow {
			l.Breakers = append(l.Breakers, metrics.BreakerLevel{
				Name: st.Name, State: st.State,
				Calls: uint64(st.Total.Requests), Failures: uint64(st.Total.Errors), Slowed: uint64(st.Total.Slow),
			})
		}
	}
	for name, b := range snapshot.Budgets() {
		l.Budgets = append(l.Budgets, metrics.BudgetLevel{Upstream: name, Remaining: float64(b.Status().Remaining)})
	}
	l.SpansDropped = s.tracing.Dropped()
	lost := s.log.Dropped()
	l.LogDropped = &lost
	if s.audit != nil {
		dropped := s.audit.Dropped()
		l.AuditDropped = &dropped
	}
	for _, u := range snapshot.Upstreams() {
		l.Upstreams = append(l.Upstreams, upstreamLevel(u.Status()))
	}
	l.KeySets = keySetLevels(snapshot.KeySets())
	for _, c := range snapshot.Limits() {
		l.Limits = append(l.Limits, limitLevel(c.Status()))
	}
	for _, st := range snapshot.Stores() {
		l.Stores = append(l.Stores, storeLevel(st.Status()))
	}
	for _, c := range snapshot.Certificates() {
		l.Certificates = append(l.Certificates, metrics.CertificateLevel{
			Listener: c.Listener, Upstream: c.Upstream, File: c.Key, Expires: c.To,
		})
	}
	for _, f := range s.faults.List() {
		if !f.Shadow {
			l.Faults = append(l.Faults, metrics.FaultLevel{Name: f.Name, Active: f.Active})
		}
	}
	return l
}

func limitLevel(st concurrency.Status) metrics.LimitLevel {
	l := metrics.LimitLevel{
		Name: st.Name, Limit: st.Limit, InFlight: st.InFlight, Queued: st.Queued, Baseline: st.BaselineSeconds, Shed: st.Shed,
	}
	if st.Shadow {
		l.Shed = nil
	}
	return l
}

func storeLevel(st ratelimit.StoreStatus) metrics.StoreLevel {
	return metrics.StoreLevel{
		Name: st.Name, Available: st.Problem == "", Took: st.Took, TookSum: st.TookSum,
		Answered: st.Answered, Failed: st.Failed, Skipped: st.Skipped,
	}
}

func upstreamLevel(st upstream.Status) metrics.UpstreamLevel {
	l := metrics.UpstreamLevel{Name: st.Name, Panic: st.Panic}
	for _, e := range st.Endpoints {
		l.Endpoints = append(l.Endpoints, metrics.EndpointLevel{
			Endpoint: e.Endpoint, State: e.State, InFlight: e.InFlight,
			Ejections: e.Ejections, ChecksPassed: e.ChecksPassed, ChecksFailed: e.ChecksFailed,
		})
	}
	return l
}

// keySetLevels has one for each issuer: of two sets of one issuer, what the
// worse one says.
func keySetLevels(sets []*authz.KeySet) (levels []metrics.KeySetLevel) {
	for _, k := range sets {
		now := metrics.KeySetLevel{Issuer: k.Issuer(), LastSuccess: k.Status().LastSuccess}
		last := len(levels) - 1 // those of one issuer stand together
		switch {
		case last < 0 || levels[last].Issuer != now.Issuer:
			levels = append(levels, now)
		case now.LastSuccess.Before(levels[last].LastSuccess):
			levels[last] = now
		}
	}
	return levels
}
