package exchange

import (
	"fmt"
	"time"
)

// SteadyState is how well clients have to fare. What is not said is not asked.
type SteadyState struct {
	// ErrorPercent is how many requests may fail, in percent: a status of 5xx, a
	// gRPC status of the kind, or an answer that breaks off. What clients do
	// wrong does not count. 0 to 100.
	ErrorPercent *float64 `yaml:"errorPercent,omitempty"`
	// P99 is the time within which 99 of 100 requests end, to the last byte. At
	// least 1ms.
	P99 time.Duration `yaml:"p99,omitempty"`
	// MinRequests is how many it takes to judge. 1 to 1000000; default 20.
	MinRequests int `yaml:"minRequests"`
}

// SetDefaults fills s with what is not said.
func (s *SteadyState) SetDefaults() { *s = SteadyState{MinRequests: 20} }

// Validate reports every problem with s.
func (s *SteadyState) Validate(report Report) {
	if s.ErrorPercent != nil {
		Range(report, "errorPercent", *s.ErrorPercent, 0, 100)
	}
	if s.P99 != 0 {
		Between(report, "p99", s.P99, time.Millisecond, time.Hour)
	}
	Range(report, "minRequests", s.MinRequests, 1, 1_000_000)
	if s.ErrorPercent == nil && s.P99 == 0 {
		report("", "must have an errorPercent or a p99")
	}
}

// Slow reports whether took is longer than 99 of 100 requests may take.
func (s *SteadyState) Slow(took time.Duration) bool { return s.P99 > 0 && took > s.P99 }

// Breach says in words how t breaks s; "" if it does not, or is too little to
// judge.
func (s *SteadyState) Breach(t Tally) string {
	if t.Requests < s.MinRequests {
		return ""
	}
	if s.ErrorPercent != nil && t.Percent(t.Errors) > *s.ErrorPercent {
		return fmt.Sprintf("%d of %d requests failed: %.3g %%, more than %v %%", t.Errors, t.Requests, t.Percent(t.Errors), *s.ErrorPercent)
	}
	if s.P99 > 0 && t.Percent(t.Slow) > 1 {
		return fmt.Sprintf("%d of %d requests took more than %v: %.3g %%, more than 1 %%", t.Slow, t.Requests, s.P99, t.Percent(t.Slow))
	}
	return ""
}

// Tally counts how requests fared.
type Tally struct{ Requests, Errors, Slow int }

// Add counts one.
func (t *Tally) Add(failed, slow bool) {
	t.Requests++
	if failed {
		t.Errors++
	}
	if slow {
		t.Slow++
	}
}

// Plus returns both together.
func (t Tally) Plus(o Tally) Tally {
	return Tally{t.Requests + o.Requests, t.Errors + o.Errors, t.Slow + o.Slow}
}

// Percent returns the share of n in all requests; 0 without any.
func (t Tally) Percent(n int) float64 {
	if t.Requests == 0 {
		return 0
	}
	return 100 * float64(n) / float64(t.Requests)
}

// Window is a Tally of the recent past: of the last span and the whole one
// before it, so that it never forgets all at once. The zero Window with a Span
// is empty.
type Window struct {
	Span time.Duration

	start       time.Time // of now
	now, before Tally
}

// Add counts one at the time at.
func (w *Window) Add(at time.Time, failed, slow bool) {
	switch age := at.Sub(w.start); {
	case age >= 2*w.Span:
		w.start, w.now, w.before = at, Tally{}, Tally{}
	case age >= w.Span:
		w.start, w.now, w.before = w.start.Add(w.Span), Tally{}, w.now
	}
	w.now.Add(failed, slow)
}

// Tally returns what w holds.
func (w *Window) Tally() Tally { return w.before.Plus(w.now) }

// Fared reports how an exchange that has ended was for its client. counts is
// false where it says nothing of the service: the client left, or was at fault,
// or the connection became another protocol's.
func (r *Record) Fared() (failed, counts bool) {
	if r.Reason.ClientFault() || r.Status == 101 {
		return false, false
	}
	failed = r.Status >= 500 || r.Reason != "" && r.Reason.Answer().Status >= 500
	switch r.GRPCStatus {
	// Those that are the server's doing, as OpenTelemetry has it
	// (https://opentelemetry.io/docs/specs/semconv/rpc/grpc/).
	case "2", "4", "12", "13", "14", "15":
		failed = true
	}
	return failed, true
}
