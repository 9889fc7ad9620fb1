package main

import (
	"fmt"
	"slices"
	"time"

	"sidecar/internal/exchange"
	"sidecar/internal/experiment"
	"sidecar/internal/faults"
	"sidecar/internal/policy"
	"sidecar/internal/proxy"
)

// drill is a fault as an experiment wants it.
type drill struct {
	faults *faults.Switch
	fault  policy.ExperimentFault
}

// Name returns the name of the fault.
func (d drill) Name() string { return d.fault.Name }

// Try says why the fault cannot be switched on.
func (d drill) Try() error { return d.faults.Try(d.fault.Name, d.fault.Toggle) }

// On switches the fault on.
func (d drill) On(t time.Duration, who exchange.Who) (experiment.Hold, error) {
	d.fault.Toggle.Duration = t
	hold, err := d.faults.Hold(d.fault.Name, d.fault.Toggle, who)
	if err != nil {
		return nil, err
	}
	return hold, nil
}

// experiment begins e, on the routes that use its fault if it names none.
func (s *sidecar) experiment(e *policy.Experiment, lease time.Duration, who exchange.Who) (experiment.Report, error) {
	d := drill{s.faults, e.Fault}
	d.fault.Toggle.Duration = e.Duration
	snapshot := s.proxy.Snapshot()
	routes := using(snapshot, e.Fault.Name)
	if _, known := s.faults.Get(e.Fault.Name); known && len(routes) == 0 {
		return experiment.Report{}, fmt.Errorf("fault.name: no route uses the fault %q", e.Fault.Name)
	}
	if len(e.Routes) > 0 {
		routes = slices.Compact(slices.Sorted(slices.Values(e.Routes))) // each is asked for with every request
	}
	for _, name := range routes {
		if !slices.Contains(snapshot.Routes(), name) {
			return experiment.Report{}, fmt.Errorf("routes: there is no route %q", name)
		}
	}
	return s.experiments.Start(e.Config, d, routes, lease, who)
}

// using returns the routes that use a fault.
func using(s *proxy.Snapshot, fault string) (routes []string) {
	for _, name := range s.Routes() {
		if slices.ContainsFunc(s.Chain(name), func(stage proxy.Stage) bool {
			return stage.Kind == exchange.Fault && stage.Policy == fault
		}) {
			routes = append(routes, name)
		}
	}
	return routes
}
