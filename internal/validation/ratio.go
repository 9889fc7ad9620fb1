package validation

import (
	"cmp"
	"math/big"
	"math/bits"
)

// ratio is a number, n/unit, exactly. The unit is positive.
type ratio struct{ n, unit int64 }

// maxShort is how many digits fit a number, whatever they are.
const maxShort = 18

// short returns the JSON number that data begins with, and its length, if it is
// an ordinary one: without an exponent, and not long. Else the length is 0.
func short(data []byte) (x ratio, length int) {
	x.unit = 1
	sign, digits, scale := int64(1), 0, int64(1)
	for ; length < len(data); length++ {
		switch c := data[length]; {
		case c >= '0' && c <= '9':
			if digits++; digits > maxShort {
				return x, 0
			}
			x.n, x.unit = 10*x.n+int64(c-'0'), x.unit*scale
		case c == '-':
			sign = -1
		case c == '.':
			scale = 10
		case c == 'e', c == 'E':
			return x, 0
		default:
			x.n *= sign
			return x, length
		}
	}
	x.n *= sign
	return x, length
}

// exactly returns r, if it fits.
func exactly(r *big.Rat) (x ratio, ok bool) {
	return ratio{r.Num().Int64(), r.Denom().Int64()}, r.Num().IsInt64() && r.Denom().IsInt64()
}

func (x ratio) whole() bool { return x.unit == 1 || x.n%x.unit == 0 }

// compare returns -1 if x is less than y, 0 if they are equal, 1 if it is more.
func (x ratio) compare(y ratio) int {
	if x.unit == y.unit {
		return cmp.Compare(x.n, y.n)
	}
	if bySign := cmp.Compare(sign(x.n), sign(y.n)); bySign != 0 || x.n == 0 {
		return bySign
	}
	xHigh, xLow := bits.Mul64(size(x.n), size(y.unit))
	yHigh, yLow := bits.Mul64(size(y.n), size(x.unit))
	return sign(x.n) * cmp.Or(cmp.Compare(xHigh, yHigh), cmp.Compare(xLow, yLow))
}

// multiple reports whether x is a multiple of y; ok: if that can be told.
func (x ratio) multiple(y ratio) (is, ok bool) {
	high, low := bits.Mul64(size(x.n), size(y.unit))
	over, unit := bits.Mul64(size(x.unit), size(y.n))
	if over != 0 || unit == 0 {
		return false, false
	}
	return bits.Rem64(high, low, unit) == 0, true
}

func sign(n int64) int { return cmp.Compare(n, 0) }

// size returns n without its sign.
func size(n int64) uint64 {
	if n < 0 {
		return -uint64(n)
	}
	return uint64(n)
}

// bound is a number to which others must compare so: from low to high.
type bound struct {
	ratio
	low, high int
}

func (b bound) holds(x ratio) bool {
	c := x.compare(b.ratio)
	return b.low <= c && c <= b.high
}
