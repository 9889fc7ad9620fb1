package concurrency

import "sidecar/internal/exchange"

// Status is a limit as an operator sees it.
type Status struct {
	Name      string `json:"name"`
	Algorithm string `json:"algorithm"`
	// Shadow: it holds nobody up.
	Shadow bool `json:"shadow,omitempty"`

	// Limit is how many calls there may be; with a gradient, the measured
	// capacity of the upstream and a small queue at it. While that is measured
	// anew, for moments, there may be fewer.
	Limit    int `json:"limit"`
	InFlight int `json:"inFlight"`
	Queued   int `json:"queued"`

	// BaselineSeconds is how long the upstream takes for its answer when nothing
	// queues there; 0 while that is not known, or the limit is static.
	BaselineSeconds float64 `json:"baselineSeconds,omitempty"`

	// Shed is how many were refused so far, by class.
	Shed map[string]uint64 `json:"shed"`
}

// Status returns how the limit stands now.
func (s *State) Status() Status {
	st := s.load()
	st.Shed = make(map[string]uint64, len(s.classes))
	for i, name := range s.classes {
		st.Shed[name] = s.shed[i].Load()
	}
	if s.gradient != nil {
		st.Limit, st.BaselineSeconds = s.gradient.found(), s.gradient.baseline().Seconds()
	}
	return st
}

func (s *State) load() Status {
	return Status{
		Name: s.name, Algorithm: s.config.Algorithm, Shadow: s.config.Mode == exchange.ModeShadow,
		Limit: int(s.limit.Load()), InFlight: int(s.inFlight.Load()), Queued: int(s.waiting.Load()),
	}
}
