package upstream

import (
	"errors"
	"slices"
	"time"
)

// The conditions of an endpoint. The first that holds is told.
const (
	Draining  = "draining"  // an operator wants it to get no calls, or its name does not lead there any more
	Unhealthy = "unhealthy" // its health checks fail
	Ejected   = "ejected"   // calls to it kept failing
	Ramping   = "ramping"   // it does not get its full share yet
	Healthy   = "healthy"
)

// Status is an upstream as an operator sees it.
type Status struct {
	Name    string `json:"name"`
	Balance string `json:"balance"`
	// Panic: no endpoint works, so all are called.
	Panic     bool             `json:"panic"`
	Endpoints []EndpointStatus `json:"endpoints"`
	// Unresolved are the names that could not be looked up last, and why.
	Unresolved map[string]string `json:"unresolved,omitempty"`
}

// EndpointStatus is an endpoint as an operator sees it.
type EndpointStatus struct {
	Endpoint string `json:"endpoint"` // host:port
	URL      string `json:"url"`      // of the policy
	State    string `json:"state"`
	Weight   int    `json:"weight"`
	// SharePercent is its share of the calls that are made now.
	SharePercent float64 `json:"sharePercent"`
	InFlight     int     `json:"inFlight"`

	ConsecutiveFailures int       `json:"consecutiveFailures"` // as outlier counts them
	Ejections           uint64    `json:"ejections"`
	EjectedUntil        time.Time `json:"ejectedUntil,omitzero"`

	ChecksPassed uint64 `json:"checksPassed"`
	ChecksFailed uint64 `json:"checksFailed"`
	// Problem is what was wrong at the last check.
	Problem string `json:"problem,omitempty"`

	// Gone: its name does not lead there any more; it ends with its calls.
	Gone bool `json:"gone,omitempty"`
}

// Status returns how the endpoints are now.
func (u *Upstream) Status() Status {
	u.mu.Lock()
	defer u.mu.Unlock()
	v, now := u.view.Load(), time.Now()
	st := Status{Name: u.name, Balance: u.config.Balance, Panic: v.panic}
	for _, p := range u.places {
		if p.failing != "" {
			if st.Unresolved == nil {
				st.Unresolved = map[string]string{}
			}
			st.Unresolved[p.label] = p.failing
		}
	}
	for _, e := range u.endpoints {
		st.Endpoints = append(st.Endpoints, e.status(v, now))
	}
	for _, e := range u.leaving {
		if e.inFlight.Load() > 0 {
			st.addGone(e.status(v, now))
		}
	}
	return st
}

// addGone adds one that has left. An address is there once, by whatever name
// calls have come there: those that still do count with it.
func (s *Status) addGone(gone EndpointStatus) {
	i := slices.IndexFunc(s.Endpoints, func(e EndpointStatus) bool { return e.Endpoint == gone.Endpoint })
	if i >= 0 {
		s.Endpoints[i].InFlight += gone.InFlight
		return
	}
	gone.State, gone.Gone = Draining, true
	s.Endpoints = append(s.Endpoints, gone)
}

func (e *endpoint) status(v *view, now time.Time) EndpointStatus {
	return EndpointStatus{
		Endpoint: e.label, URL: e.scheme + "://" + e.host, State: e.state(now), Weight: e.weight,
		SharePercent: v.percent(e), InFlight: int(e.inFlight.Load()),
		ConsecutiveFailures: int(e.failures.Load()), Ejections: e.ejection.all, EjectedUntil: e.ejection.until,
		ChecksPassed: e.passed, ChecksFailed: e.failed, Problem: e.checks.problem,
	}
}

func (v *view) percent(e *endpoint) float64 {
	var own, all int64
	for _, s := range v.taken {
		all += s.share
		if s.endpoint == e {
			own = s.share
		}
	}
	return float64(own*1000/all) / 10
}

// state returns c in a word.
func (c *condition) state(now time.Time) string {
	switch {
	case c.drained:
		return Draining
	case c.checks.unhealthy:
		return Unhealthy
	case now.Before(c.ejection.until):
		return Ejected
	case !c.rampsFrom.IsZero():
		return Ramping
	}
	return Healthy
}

var (
	// ErrUnknown is the error of a Drain of what is no endpoint.
	ErrUnknown = errors.New("no such endpoint")
	// ErrLast is the error of a Drain of the one endpoint that is left.
	ErrLast = errors.New("is the last one that works and is not drained: calls would have nowhere to go")
)
