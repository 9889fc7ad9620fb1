package experiment

import (
	"fmt"
	"time"

	"sidecar/internal/exchange"
)

// Phase is how far an experiment has come.
type Phase string

const (
	Baseline Phase = "baseline" // the fault is off, and how it is without it is measured
	Fault    Phase = "fault"    // it is on
	Recovery Phase = "recovery" // it is off again
	Ended    Phase = "ended"
)

// Outcome is what has come of an experiment.
type Outcome string

const (
	Held         Outcome = "held"         // the steady state held all the time
	Broken       Outcome = "broken"       // it did not: under the fault, or when that was off again
	Refused      Outcome = "refused"      // it did not hold to begin with; the fault was never on
	Inconclusive Outcome = "inconclusive" // too few requests, or none that met the fault
	Aborted      Outcome = "aborted"      // somebody or something has ended it
)

// Report is an experiment as it stands; when it has ended, the verdict.
type Report struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Fault   string    `json:"fault"`
	Routes  []string  `json:"routes"`
	Phase   Phase     `json:"phase"`
	Outcome Outcome   `json:"outcome,omitempty"` // once it has ended
	Why     string    `json:"why,omitempty"`     // it ended so
	By      string    `json:"by"`                // who has started it
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended,omitzero"`

	SteadyState Steady `json:"steadyState"`

	// Injected is how many attempts the fault has broken.
	Injected uint64 `json:"injected"`
	// Met is how many requests had such an attempt: each was absorbed, surfaced,
	// or its client has left.
	Met int `json:"met"`
	// Absorbed: the client got a good answer all the same, in time.
	Absorbed int `json:"absorbed"`
	// AbsorbedByFallback are those of them whose answer was the breaker's fallback.
	AbsorbedByFallback int `json:"absorbedByFallback"`
	// Surfaced: the client got an error, or an answer that the fault has made or
	// changed, or waited longer than p99.
	Surfaced int `json:"surfaced"`
	// SurfacedSlow are those of them that only took too long.
	SurfacedSlow int `json:"surfacedSlow"`
	// Left: the client did not wait for the end, or was itself at fault.
	Left int `json:"left"`
	// Unfinished are requests that began under the fault and have not ended.
	Unfinished int `json:"unfinished"`
	// BreakerTrips is how often a circuit breaker opened under the fault.
	BreakerTrips int `json:"breakerTrips"`

	// Before, During and After are all measured requests, by when they began;
	// those that met the fault are in During. Bystanders are those in During that
	// did not meet it.
	Before     Numbers `json:"before"`
	During     Numbers `json:"during"`
	After      Numbers `json:"after"`
	Bystanders Numbers `json:"bystanders"`
}

// Steady is the steady state as JSON tells it.
type Steady struct {
	ErrorPercent *float64 `json:"errorPercent,omitempty"`
	P99          string   `json:"p99,omitempty"`
	MinRequests  int      `json:"minRequests"`
}

func steadyOf(s *exchange.SteadyState) Steady {
	told := Steady{ErrorPercent: s.ErrorPercent, MinRequests: s.MinRequests}
	if s.P99 > 0 {
		told.P99 = s.P99.String()
	}
	return told
}

// String returns the verdict in a line.
func (r *Report) String() string {
	return fmt.Sprintf("%s: %s; %d attempts broken, %d requests met the fault: %d absorbed, %d surfaced, %d left; breakers opened %d times",
		r.Outcome, r.Why, r.Injected, r.Met, r.Absorbed, r.Surfaced, r.Left, r.BreakerTrips)
}
