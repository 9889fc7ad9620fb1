package faults

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Toggle is how an operator wants a fault while it is switched on. What is nil
// stays as the policy says.
type Toggle struct {
	Percent *float64
	Delay   *Delay
	Abort   *Abort
	When    *When

	// Duration is 1s to the policy's maxDuration; 0 is all of that.
	Duration time.Duration
}

// Status is one fault as it is now: what breaks when it is active, or would if
// it were switched on.
type Status struct {
	Name   string `json:"name"`
	Active bool   `json:"active"`
	// Shadow: it breaks nothing, even while it is active.
	Shadow  bool    `json:"shadow,omitempty"`
	Percent float64 `json:"percent"`
	Delay   Delay   `json:"delay,omitzero"`
	Abort   Abort   `json:"abort,omitzero"`
	When    When    `json:"when,omitzero"`

	// ExpiresAt is when it switches itself off; zero when it is not active.
	ExpiresAt time.Time `json:"expiresAt,omitzero"`
	// SetBy is whose word it is that counts: an operator's, or "policy" for the
	// file's own. Empty: nobody ever switched it on.
	SetBy string `json:"setBy,omitempty"`
	// Injected is how many attempts it has broken since it was first seen.
	Injected uint64 `json:"injected"`
}

// detail tells an active fault in a few words.
func (s *Status) detail() string {
	if !s.Active {
		return ""
	}
	var words []string
	if s.Shadow {
		words = append(words, "in shadow, nothing is broken")
	}
	words = append(words, fmt.Sprintf("percent %v", s.Percent))
	if s.Delay != (Delay{}) {
		words = append(words, "delay "+s.Delay.String())
	}
	if s.Abort != (Abort{}) {
		words = append(words, "abort "+s.Abort.String())
	}
	return strings.Join(append(words, "until "+s.ExpiresAt.UTC().Format(time.RFC3339)), ", ")
}

// over returns c as t changes it.
func (t *Toggle) over(c Config) Config {
	if t.Percent != nil {
		c.Percent = *t.Percent
	}
	if t.Delay != nil {
		c.Delay = *t.Delay
	}
	if t.Abort != nil {
		c.Abort = *t.Abort
	}
	if t.When != nil {
		c.When = *t.When
	}
	return c
}

// validate says what is wrong with t over c, as Config.Validate does.
func (t *Toggle) validate(c Config) error {
	var errs []error
	report := func(field, problem string) {
		if field != "" {
			problem = field + ": " + problem
		}
		errs = append(errs, errors.New(problem))
	}
	changed := t.over(c)
	changed.Validate(report)
	if t.Duration < time.Second || t.Duration > c.MaxDuration {
		report("duration", fmt.Sprintf("must be 1s to the policy's maxDuration of %v, got %v", c.MaxDuration, t.Duration))
	}
	return errors.Join(errs...)
}

// clone returns a copy that shares nothing with t.
func (t *Toggle) clone() Toggle {
	c := Toggle{Percent: clone(t.Percent), Delay: clone(t.Delay), Abort: clone(t.Abort), When: clone(t.When), Duration: t.Duration}
	if c.When != nil {
		*c.When = c.When.clone()
	}
	return c
}

func clone[T any](p *T) *T {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}

func (w When) clone() When {
	return When{Methods: slices.Clone(w.Methods), Headers: maps.Clone(w.Headers)}
}

// String returns d as people write it.
func (d Delay) String() string {
	if d.Jitter == 0 {
		return d.Fixed.String()
	}
	return fmt.Sprintf("%v +- %v", d.Fixed, d.Jitter)
}

type toggleJSON struct {
	Percent  *float64 `json:"percent,omitempty"`
	Delay    *Delay   `json:"delay,omitempty"`
	Abort    *Abort   `json:"abort,omitempty"`
	When     *When    `json:"when,omitempty"`
	Duration string   `json:"duration,omitempty"`
}

type delayJSON struct {
	Fixed  string `json:"fixed,omitempty"`
	Jitter string `json:"jitter,omitempty"`
}

// MarshalJSON writes the duration as in the policy file: "5m0s".
func (t Toggle) MarshalJSON() ([]byte, error) {
	return json.Marshal(toggleJSON{t.Percent, t.Delay, t.Abort, t.When, text(t.Duration)})
}

// UnmarshalJSON reads what MarshalJSON writes, and refuses unknown keys.
func (t *Toggle) UnmarshalJSON(data []byte) error {
	var j toggleJSON
	if err := strictly(data, &j); err != nil {
		return err
	}
	duration, err := parse("duration", j.Duration)
	if err == nil && duration == 0 && j.Duration != "" {
		err = errors.New("duration: must be at least 1s, got 0s") // it is not the same as nothing said
	}
	*t = Toggle{j.Percent, j.Delay, j.Abort, j.When, duration}
	return err
}

// MarshalJSON writes the durations as in the policy file: "300ms".
func (d Delay) MarshalJSON() ([]byte, error) {
	return json.Marshal(delayJSON{text(d.Fixed), text(d.Jitter)})
}

// UnmarshalJSON reads what MarshalJSON writes, and refuses unknown keys.
func (d *Delay) UnmarshalJSON(data []byte) error {
	var j delayJSON
	if err := strictly(data, &j); err != nil {
		return err
	}
	var errs [2]error
	d.Fixed, errs[0] = parse("delay.fixed", j.Fixed)
	d.Jitter, errs[1] = parse("delay.jitter", j.Jitter)
	return errors.Join(errs[:]...)
}

// strictly decodes data into v. A decoder's strictness ends where a type
// decodes itself, so it begins anew here.
func strictly(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	return d.Decode(v)
}

func text(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}

func parse(field, text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%s: must be a duration such as 300ms or 5m, got %q", field, text)
	}
	return d, nil
}
