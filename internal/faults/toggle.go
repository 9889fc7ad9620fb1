package faults

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"sidecar/internal/exchange"
)

// Toggle is how an operator wants a fault while it is switched on. What is nil
// stays as the policy says.
type Toggle struct {
	// Percent is the share of attempts that are broken.
	Percent *float64 `yaml:"percent,omitempty"`
	// Delay is a wait before the call.
	Delay *Delay `yaml:"delay,omitempty"`
	// Abort is an answer in place of the call.
	Abort *Abort `yaml:"abort,omitempty"`
	// Body is what happens to the body of the answer.
	Body *Body `yaml:"body,omitempty"`
	// When narrows the requests.
	When *When `yaml:"when,omitempty"`

	// Duration is 1s to the policy's maxDuration; 0 is all of that.
	Duration time.Duration `yaml:"-"`
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
	Body    Body    `json:"body,omitzero"`
	// ByHeader: requests say what breaks them.
	ByHeader bool `json:"byHeader,omitempty"`
	When     When `json:"when,omitzero"`

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
	if s.Body != (Body{}) {
		words = append(words, "body "+s.Body.String())
	}
	if s.ByHeader {
		words = append(words, "as requests ask")
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
	if t.Body != nil {
		c.Body = *t.Body
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
	c := *t
	c.Percent, c.Delay, c.Abort, c.Body, c.When = clone(t.Percent), clone(t.Delay), clone(t.Abort), clone(t.Body), clone(t.When)
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
	return When{
		Methods: slices.Clone(w.Methods), Paths: slices.Clone(w.Paths),
		Headers: maps.Clone(w.Headers), Principals: slices.Clone(w.Principals),
	}
}

// String returns d as people write it.
func (d Delay) String() string {
	if d.Jitter == 0 {
		return d.Fixed.String()
	}
	return strings.TrimSpace(fmt.Sprintf("%v +- %v %s", d.Fixed, d.Jitter, d.Distribution))
}

type toggleJSON struct {
	Percent  *float64 `json:"percent,omitempty"`
	Delay    *Delay   `json:"delay,omitempty"`
	Abort    *Abort   `json:"abort,omitempty"`
	Body     *Body    `json:"body,omitempty"`
	When     *When    `json:"when,omitempty"`
	Duration string   `json:"duration,omitempty"`
}

type delayJSON struct {
	Fixed        string `json:"fixed,omitempty"`
	Jitter       string `json:"jitter,omitempty"`
	Distribution string `json:"distribution,omitempty"`
}

// MarshalJSON writes the duration as in the policy file: "5m0s".
func (t Toggle) MarshalJSON() ([]byte, error) {
	return json.Marshal(toggleJSON{t.Percent, t.Delay, t.Abort, t.Body, t.When, text(t.Duration)})
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
	*t = Toggle{j.Percent, j.Delay, j.Abort, j.Body, j.When, duration}
	return err
}

// MarshalJSON writes the durations as in the policy file: "300ms".
func (d Delay) MarshalJSON() ([]byte, error) {
	return json.Marshal(delayJSON{text(d.Fixed), text(d.Jitter), d.Distribution})
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
	d.Distribution = j.Distribution
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

// Validate reports every problem with t that shows without the policy that it
// changes.
func (t *Toggle) Validate(report exchange.Report) {
	var c Config
	c.SetDefaults()
	// What t does not take away, the policy may have.
	c.Delay.Fixed, c.Abort.Status, c.Body.TruncateAfter = time.Second, http.StatusServiceUnavailable, 1
	changed := t.over(c)
	changed.Validate(report)
}
