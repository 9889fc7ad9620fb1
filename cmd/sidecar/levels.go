package main

import (
	"sidecar/internal/authz"
	"sidecar/internal/metrics"
)

// levels reads what metrics tell of the present.
func (s *sidecar) levels() metrics.Levels {
	var l metrics.Levels
	snapshot := s.proxy.Snapshot()
	l.PolicyHash = snapshot.File().Hash()
	for _, b := range snapshot.Breakers() {
		if st := b.Status(); !st.Shadow {
			l.Breakers = append(l.Breakers, metrics.BreakerLevel{Name: st.Name, State: st.State})
		}
	}
	for name, b := range snapshot.Budgets() {
		l.Budgets = append(l.Budgets, metrics.BudgetLevel{Upstream: name, Remaining: float64(b.Status().Remaining)})
	}
	l.SpansDropped = s.tracing.Dropped()
	if s.audit != nil {
		dropped := s.audit.Dropped()
		l.AuditDropped = &dropped
	}
	l.KeySets = keySetLevels(snapshot.KeySets())
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
