package exchange

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Size is a number of bytes, written 512, 64KiB, 10MiB or 1GiB.
type Size int64

var sizeUnits = []struct {
	suffix string
	bytes  int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

// UnmarshalText reads a whole number with an optional unit B, KiB, MiB or GiB.
func (s *Size) UnmarshalText(text []byte) error {
	digits, factor := string(text), int64(1)
	for _, u := range sizeUnits {
		if rest, ok := strings.CutSuffix(digits, u.suffix); ok {
			digits, factor = rest, u.bytes
			break
		}
	}
	n, err := strconv.ParseUint(digits, 10, 63) // takes no sign
	if err != nil || int64(n) > math.MaxInt64/factor {
		return fmt.Errorf("must be a size such as 64KiB, 10MiB or 1GiB, got %q", text)
	}
	*s = Size(int64(n) * factor)
	return nil
}

// MarshalText writes s with the largest unit that divides it.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// String writes s with the largest unit that divides it.
func (s Size) String() string {
	for _, u := range sizeUnits[:3] {
		if s != 0 && int64(s)%u.bytes == 0 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.suffix
		}
	}
	return strconv.FormatInt(int64(s), 10)
}
