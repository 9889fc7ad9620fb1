package faults

import (
	"fmt"
	"strconv"
	"strings"

	"sidecar/internal/exchange"
)

// Body is what happens to the body of an answer. Its header stays as it is.
type Body struct {
	// Bandwidth is how fast it comes at most, such as 64KiB/s. Default: as fast
	// as it does.
	Bandwidth Bandwidth `yaml:"bandwidth,omitempty" json:"bandwidth,omitzero"`
	// TruncateAfter is the number of bytes after which the connection breaks. A
	// body that is no longer than that is left alone. Default: it does not break.
	TruncateAfter exchange.Size `yaml:"truncateAfter,omitempty" json:"truncateAfter,omitzero"`
	// Corrupt is the share of its bytes that are changed, in percent. 0 to 100;
	// default 0.
	Corrupt float64 `yaml:"corrupt,omitempty" json:"corrupt,omitempty"`
}

func (b Body) validate(report exchange.Report) {
	if b.Bandwidth < 0 || b.Bandwidth > maxBandwidth {
		report("body.bandwidth", fmt.Sprintf("must be at most 1GiB/s, got %v", b.Bandwidth))
	}
	if b.TruncateAfter < 0 {
		report("body.truncateAfter", fmt.Sprintf("must be at least 1B, got %v", b.TruncateAfter))
	}
	exchange.Range(report, "body.corrupt", b.Corrupt, 0, 100)
}

// String returns b in a few words.
func (b Body) String() string {
	var words []string
	if b.Bandwidth != 0 {
		words = append(words, b.Bandwidth.String())
	}
	if b.TruncateAfter != 0 {
		words = append(words, "cut after "+b.TruncateAfter.String())
	}
	if b.Corrupt != 0 {
		words = append(words, strconv.FormatFloat(b.Corrupt, 'g', -1, 64)+" % corrupt")
	}
	return strings.Join(words, ", ")
}

// Bandwidth is a number of bytes a second, written 512/s, 64KiB/s or 1MiB/s.
type Bandwidth int64

const maxBandwidth Bandwidth = 1 << 30

// UnmarshalText reads a size and /s.
func (b *Bandwidth) UnmarshalText(text []byte) error {
	var size exchange.Size
	word, ok := strings.CutSuffix(string(text), "/s")
	if !ok || size.UnmarshalText([]byte(word)) != nil || size == 0 || size > exchange.Size(maxBandwidth) {
		return fmt.Errorf("must be a bandwidth such as 64KiB/s, up to 1GiB/s, got %q", text)
	}
	*b = Bandwidth(size)
	return nil
}

// MarshalText writes b with the largest unit that divides it.
func (b Bandwidth) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// String writes b with the largest unit that divides it.
func (b Bandwidth) String() string { return exchange.Size(b).String() + "/s" }
