package ratelimit

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Rate is so many in a second, a minute or an hour, written 50/s, 100/m, 1000/h.
type Rate struct {
	Count int
	Per   time.Duration
}

var ratePer = map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}

// UnmarshalText reads N/s, N/m or N/h; N is 1 to 1000000.
func (r *Rate) UnmarshalText(text []byte) error {
	count, unit, _ := strings.Cut(string(text), "/")
	n, err := strconv.Atoi(count)
	per, ok := ratePer[unit]
	if err != nil || !ok || n < 1 || n > 1_000_000 {
		return fmt.Errorf("must be a rate such as 50/s, 100/m or 1000/h, of 1 to 1000000, got %q", text)
	}
	*r = Rate{n, per}
	return nil
}

// MarshalText writes r as UnmarshalText reads it.
func (r Rate) MarshalText() ([]byte, error) {
	for unit, per := range ratePer {
		if r.Per == per {
			return fmt.Appendf(nil, "%d/%s", r.Count, unit), nil
		}
	}
	return nil, fmt.Errorf("rate per %v has no unit", r.Per)
}

// interval returns the time in which one more request may pass.
func (r Rate) interval() time.Duration { return r.Per / time.Duration(r.Count) }
