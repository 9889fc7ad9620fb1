package retry

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"sidecar/internal/exchange"
)

// Hedge begins another attempt beside one that does not answer. The first good
// answer is the client's, and the other attempts are given up. It is for GET
// and HEAD without a body, as far as methods name them, and draws on the same
// budget and the same maxAttempts as the retries.
type Hedge struct {
	// After is how long it waits for an answer: a duration of 1ms at least, or a
	// percentile of what answers took in the last minute, p50 to p99. By a
	// percentile there are no hedges until 100 answers are known. Default p95.
	After HedgeAfter `yaml:"after"`

	// Max is how many attempts a request may get so. 1 to maxAttempts - 1;
	// default 1.
	Max int `yaml:"max"`
}

// SetDefaults fills h with what is not said.
func (h *Hedge) SetDefaults() { *h = Hedge{After: HedgeAfter{Percentile: 95}, Max: 1} }

func (h *Hedge) validate(report exchange.Report, maxAttempts int) {
	if maxAttempts < 2 {
		report("hedge", fmt.Sprintf("must not be there where maxAttempts is %d: a hedge is an attempt", maxAttempts))
		return
	}
	exchange.Range(report, "hedge.max", h.Max, 1, maxAttempts-1)
	if h.After.Percentile == 0 {
		exchange.Between(report, "hedge.after", h.After.Fixed, soonest, time.Hour)
	}
}

// soonest is the least that a hedge waits: below it timers are not to be
// trusted, and nobody would see the gain.
const soonest = time.Millisecond

// HedgeAfter is a time, or a percentile of the times seen.
type HedgeAfter struct {
	Fixed      time.Duration
	Percentile int // 0: Fixed holds
}

// UnmarshalText reads a duration such as 100ms, or p50 to p99.
func (a *HedgeAfter) UnmarshalText(text []byte) error {
	if digits, ok := strings.CutPrefix(string(text), "p"); ok {
		if n, err := strconv.ParseUint(digits, 10, 8); err == nil && n >= 50 && n <= 99 && len(digits) == 2 {
			*a = HedgeAfter{Percentile: int(n)}
			return nil
		}
	} else if d, err := time.ParseDuration(string(text)); err == nil && d >= 0 {
		*a = HedgeAfter{Fixed: d}
		return nil
	}
	return fmt.Errorf("must be a duration such as 100ms, or a percentile, p50 to p99, got %q", text)
}

// MarshalText writes what UnmarshalText reads.
func (a HedgeAfter) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// String returns a as it is written.
func (a HedgeAfter) String() string {
	if a.Percentile > 0 {
		return "p" + strconv.Itoa(a.Percentile)
	}
	return a.Fixed.String()
}
