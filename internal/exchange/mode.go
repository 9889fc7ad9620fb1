package exchange

import "fmt"

// Mode says how much a policy's word counts. The zero Mode is Enforce.
type Mode int

const (
	// ModeEnforce: what the policy says is done.
	ModeEnforce Mode = iota
	// ModeShadow: the policy looks at every exchange and says what it would
	// do, as an outcome "shadow"; nothing is done.
	ModeShadow
	// ModeDisabled: the policy is not asked, as if no route used it.
	ModeDisabled
)

var modeWords = [...]string{"enforce", "shadow", "disabled"}

// UnmarshalText reads enforce, shadow or disabled.
func (m *Mode) UnmarshalText(text []byte) error {
	for i, word := range modeWords {
		if word == string(text) {
			*m = Mode(i)
			return nil
		}
	}
	return fmt.Errorf("must be one of %v, got %q", modeWords, text)
}

// MarshalText writes the word.
func (m Mode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// String returns the word.
func (m Mode) String() string {
	if m < 0 || int(m) >= len(modeWords) {
		return fmt.Sprintf("Mode(%d)", int(m))
	}
	return modeWords[m]
}

// Shadowed returns what f would have been, as the record keeps it.
func (f *Refusal) Shadowed() Decision {
	d := f.Decision()
	d.Outcome = Shadow
	return d
}
